// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

struct till {
	unsigned int coins;
};

struct till lp_till = { .coins = 7 };

static noinline void till_show_coins(struct seq_file *m, const struct till *t)
{
	seq_printf(m, "%u coins\n", t->coins);
}

static int till_show(struct seq_file *m, void *v)
{
	till_show_coins(m, &lp_till);
	return 0;
}

static int __init till_init(void)
{
	return proc_create_single("lp_till", 0444, NULL, till_show) ? 0 : -ENOMEM;
}

static void __exit till_exit(void)
{
	remove_proc_entry("lp_till", NULL);
}

module_init(till_init);
module_exit(till_exit);
MODULE_LICENSE("GPL");
