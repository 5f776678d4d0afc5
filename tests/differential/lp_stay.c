// SPDX-License-Identifier: GPL-2.0
/*
 * The module that is there all the time: two functions to be patched, one of which holds its task as long as `hold` is
 * set, and the place where callbacks say that they ran.
 */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "lp_stay.h"

static DECLARE_WAIT_QUEUE_HEAD(released);
static bool held;
static atomic_t holding = ATOMIC_INIT(0);

/* In TASK_IDLE: the livepatch core's signals must not end it, and it is no hung task. */
void lp_stay_hold(void)
{
	atomic_inc(&holding);
	wait_event_idle(released, !READ_ONCE(held));
	atomic_dec(&holding);
}
EXPORT_SYMBOL_GPL(lp_stay_hold);

static int set_hold(const char *value, const struct kernel_param *param)
{
	int err = param_set_bool(value, param);

	wake_up_all(&released);
	return err;
}

static const struct kernel_param_ops hold_ops = { .set = set_hold, .get = param_get_bool };
module_param_cb(hold, &hold_ops, &held, 0600);

static int get_holding(char *text, const struct kernel_param *param)
{
	return sprintf(text, "%d\n", atomic_read(&holding));
}

static const struct kernel_param_ops holding_ops = { .get = get_holding };
module_param_cb(holding, &holding_ops, NULL, 0400);

static DEFINE_SPINLOCK(lock);
static char said[16384];
static size_t length;

void lp_stay_say(const char *format, ...)
{
	va_list args;

	spin_lock(&lock);
	va_start(args, format);
	length += vscnprintf(said + length, sizeof(said) - length, format, args);
	va_end(args);
	spin_unlock(&lock);
}
EXPORT_SYMBOL_GPL(lp_stay_say);

/* Tells it once. */
static int lp_stay_said(struct seq_file *m, void *v)
{
	spin_lock(&lock);
	seq_write(m, said, length);
	/* Too small a buffer is made larger, and this is asked again. */
	if (!seq_has_overflowed(m))
		length = 0;
	spin_unlock(&lock);
	return 0;
}

static noinline int lp_stay_plain(struct seq_file *m, void *v)
{
	seq_puts(m, "original lp_stay_plain\n");
	return 0;
}

static noinline int lp_stay_held(struct seq_file *m, void *v)
{
	lp_stay_hold();
	seq_puts(m, "original lp_stay_held\n");
	return 0;
}

static int __init lp_stay_init(void)
{
	proc_create_single("lp_stay_said", 0400, NULL, lp_stay_said);
	proc_create_single("lp_stay_plain", 0400, NULL, lp_stay_plain);
	proc_create_single("lp_stay_held", 0400, NULL, lp_stay_held);
	return 0;
}

/* No exit function: it stays. */
module_init(lp_stay_init);
MODULE_LICENSE("GPL");
