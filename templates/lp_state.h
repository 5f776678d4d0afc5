/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The states of a patch for processes: what it changes besides functions, and what an older patch left of it.
 *
 *	#include "lp_state.h"
 *
 * A state is declared in livepatch.toml, with id and version. Its `data` is the author's: a pointer that goes from patch
 * to patch, and that the next patch, which has the state too, finds with lp_get_prev_state() in its callbacks:
 *
 *	static int limits_pre_patch(void)
 *	{
 *		struct lp_state *own = lp_get_state(1), *old = lp_get_prev_state(1);
 *
 *		own->data = old ? old->data : limits_first();
 *		return own->data ? 0 : -1;
 *	}
 *	LP_PRE_PATCH_CALLBACK(limits_pre_patch);
 */
#ifndef LP_STATE_H
#define LP_STATE_H

struct lp_state {
	unsigned long id;
	unsigned int version;
	/* LP_STATE_IS_* */
	unsigned int flags;
	void *data;
};

/* Of the patch that is in transition: that comes, or goes. */
#define LP_STATE_IS_OWN 1u
/* Of the newest installed patch below that one that has the state. */
#define LP_STATE_IS_PREV 2u
#define LP_STATE_IS_END 0xffffffffu

/*
 * The loader's table; NULL where no loader is, in the program that the patched tree is built to. By way of a slot, as the
 * table may be far from the code, whatever model that is compiled for.
 */
static inline __attribute__((__unused__)) struct lp_state *__lp_states_table(void)
{
	struct lp_state *table;

	__asm__(".weak __lp_states\n\tmovq __lp_states@GOTPCREL(%%rip), %0" : "=r"(table));
	return table;
}

static inline __attribute__((__unused__)) struct lp_state *__lp_find_state(unsigned long id, unsigned int flag)
{
	struct lp_state *state = __lp_states_table();

	for (; state && state->flags != LP_STATE_IS_END; state++)
		if (state->id == id && (state->flags & flag))
			return state;
	return (struct lp_state *)0;
}

/* The state of this patch; NULL if livepatch.toml does not declare it. Only callbacks may ask. */
static inline __attribute__((__unused__)) struct lp_state *lp_get_state(unsigned long id)
{
	return __lp_find_state(id, LP_STATE_IS_OWN);
}

/* The state of the newest patch before this one that has it; NULL if there is none. Only callbacks may ask. */
static inline __attribute__((__unused__)) struct lp_state *lp_get_prev_state(unsigned long id)
{
	return __lp_find_state(id, LP_STATE_IS_PREV);
}

#endif
