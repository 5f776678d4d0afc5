/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all patches of the differential test's pool have in common. Each version of a function answers with its
 * module's name, each callback is told to lp_stay. lp-tests writes the tables (tests/src/differential/source.rs).
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "lp_stay.h"

static struct klp_patch patch;

/* The name in the text keeps the compiler from making one function of all. */
#define ANSWER(function, id)							\
	static int new_##id(struct seq_file *m, void *v)			\
	{									\
		seq_puts(m, KBUILD_MODNAME " " function "\n");			\
		return 0;							\
	}

/* The one that a task can be held in. */
#define ANSWER_HELD(function, id)						\
	static int new_##id(struct seq_file *m, void *v)			\
	{									\
		lp_stay_hold();							\
		seq_puts(m, KBUILD_MODNAME " " function "\n");			\
		return 0;							\
	}

/* Tells what a callback sees of the states: its own, and those of the patches before. */
static void tell(struct klp_object *obj, const char *callback, bool take_over)
{
	unsigned long id;

	lp_stay_say("%s %s %s", KBUILD_MODNAME, obj->name ?: "vmlinux", callback);
	for (id = 1; id <= 3; id++) {
		struct klp_state *own = klp_get_state(&patch, id);
		struct klp_state *prev = klp_get_prev_state(id);

		if (own && take_over)
			own->data = (prev ? prev->data : NULL) + 1;
		if (own)
			lp_stay_say(" %lu:%u.%lu", id, own->version, (unsigned long)own->data);
		if (prev)
			lp_stay_say(" %lu<%u.%lu", id, prev->version, (unsigned long)prev->data);
	}
	lp_stay_say("\n");
}

#define CALLBACKS(id, answer)							\
	static int pre_patch_##id(struct klp_object *obj)			\
	{									\
		tell(obj, "pre_patch", true);					\
		return answer;							\
	}									\
	static void post_patch_##id(struct klp_object *obj)			\
	{									\
		tell(obj, "post_patch", false);					\
	}									\
	static void pre_unpatch_##id(struct klp_object *obj)			\
	{									\
		tell(obj, "pre_unpatch", false);				\
	}									\
	static void post_unpatch_##id(struct klp_object *obj)			\
	{									\
		tell(obj, "post_unpatch", false);				\
	}

#define CALLBACK_TABLE(id)							\
	{									\
		.pre_patch = pre_patch_##id,					\
		.post_patch = post_patch_##id,					\
		.pre_unpatch = pre_unpatch_##id,				\
		.post_unpatch = post_unpatch_##id,				\
	}

static int __init patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit patch_exit(void)
{
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
