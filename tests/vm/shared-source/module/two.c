// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/proc_fs.h>
#include "shared.h"

static int two_show(struct seq_file *m, void *v)
{
	return shared_show(m, v);
}

static int __init two_init(void)
{
	shared_owner = "two";
	return proc_create_single("lp_two", 0444, NULL, two_show) ? 0 : -ENOMEM;
}

static void __exit two_exit(void)
{
	remove_proc_entry("lp_two", NULL);
}

module_init(two_init);
module_exit(two_exit);
MODULE_LICENSE("GPL");
