// SPDX-License-Identifier: GPL-2.0
/* The module that comes and goes while patches for it are installed. */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "lp_late.h"

static noinline int lp_late_one(struct seq_file *m, void *v)
{
	seq_puts(m, "original lp_late_one\n");
	return 0;
}

static noinline int lp_late_two(struct seq_file *m, void *v)
{
	seq_puts(m, "original lp_late_two\n");
	return 0;
}

static noinline int lp_late_twin(struct seq_file *m, void *v)
{
	seq_puts(m, "original lp_late_twin,1\n");
	return 0;
}

static int __init lp_late_init(void)
{
	proc_create_single("lp_late_one", 0400, NULL, lp_late_one);
	proc_create_single("lp_late_two", 0400, NULL, lp_late_two);
	proc_create_single("lp_late_twin_1", 0400, NULL, lp_late_twin);
	proc_create_single("lp_late_twin_2", 0400, NULL, lp_late_second_twin);
	return 0;
}

static void __exit lp_late_exit(void)
{
	remove_proc_entry("lp_late_one", NULL);
	remove_proc_entry("lp_late_two", NULL);
	remove_proc_entry("lp_late_twin_1", NULL);
	remove_proc_entry("lp_late_twin_2", NULL);
}

module_init(lp_late_init);
module_exit(lp_late_exit);
MODULE_LICENSE("GPL");
