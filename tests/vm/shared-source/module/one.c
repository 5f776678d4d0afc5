// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/proc_fs.h>
#include "shared.h"

static int one_show(struct seq_file *m, void *v)
{
	return shared_show(m, v);
}

static int __init one_init(void)
{
	shared_owner = "one";
	return proc_create_single("lp_one", 0444, NULL, one_show) ? 0 : -ENOMEM;
}

static void __exit one_exit(void)
{
	remove_proc_entry("lp_one", NULL);
}

module_init(one_init);
module_exit(one_exit);
MODULE_LICENSE("GPL");
