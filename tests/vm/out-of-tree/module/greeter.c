// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include "greeter.h"

static int greeter_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%s%s\n", greeter_words(), greeter_end());
	return 0;
}

/* Says its file's name: that is no change. */
static int greeter_check_show(struct seq_file *m, void *v)
{
	WARN_ON_ONCE(!m);
	seq_printf(m, "%s\n", kbasename(__FILE__));
	return 0;
}

static int __init greeter_init(void)
{
	proc_create_single("lp_greeter_check", 0444, NULL, greeter_check_show);
	return proc_create_single("lp_greeter", 0444, NULL, greeter_show) ? 0 : -ENOMEM;
}

static void __exit greeter_exit(void)
{
	remove_proc_entry("lp_greeter", NULL);
	remove_proc_entry("lp_greeter_check", NULL);
}

module_init(greeter_init);
module_exit(greeter_exit);
MODULE_LICENSE("GPL");
