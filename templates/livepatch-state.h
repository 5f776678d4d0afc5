/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The states that a patch module keeps: when which of the author's steps (struct lp_state_ops of livepatch.h) is called.
 *
 * A state outlives the patch that made it. Whoever replaces that patch takes over, with the data, and puts the original
 * back in the end; whoever is called off on the way must leave everything with the older patch. So each state says
 * what this patch has to do with it. Asking klp_get_prev_state() each time is the tempting wrong way: it knows who else
 * has the state, not what was done already, and once the older patches are gone it knows nothing.
 */
#include <linux/livepatch.h>
#include <linux/slab.h>

enum lp_state_role {
	LP_STATE_NONE,
	/* No patch has changed the state: this one will. Its data is prepared. */
	LP_STATE_MAKES,
	/* An older patch has changed it: this one will take the data as it is. */
	LP_STATE_TAKES,
	/* An older patch has changed it in an older way: this one will make that the new way. It has empty data. */
	LP_STATE_UPGRADES,
	/* The change is this patch's, and so is the data. */
	LP_STATE_KEEPS,
};

struct lp_state {
	struct klp_state *state;
	const struct lp_state_ops *ops;
	enum lp_state_role role;
};

static int lp_state_allocate(struct lp_state *s, enum lp_state_role role)
{
	s->state->data = kzalloc(s->ops->size, GFP_KERNEL);
	if (!s->state->data)
		return -ENOMEM;
	s->role = role;
	return 0;
}

static void lp_state_free(struct lp_state *s)
{
	kfree(s->state->data);
	s->state->data = NULL;
	s->role = LP_STATE_NONE;
}

static int lp_state_take(struct lp_state *s, const struct klp_state *prev, bool replace)
{
	if (!replace) {
		pr_err("state %lu is another livepatch's: only one that replaces it can take it over\n",
		       s->state->id);
		return -EBUSY;
	}
	if (prev->version != s->state->version && s->ops->upgrade)
		return lp_state_allocate(s, LP_STATE_UPGRADES);
	if (s->ops->size && !prev->data) {
		pr_err("state %lu: the livepatch before this one kept no data to take over\n", s->state->id);
		return -EINVAL;
	}
	s->role = LP_STATE_TAKES;
	return 0;
}

static int lp_state_make(struct lp_state *s)
{
	int ret = lp_state_allocate(s, LP_STATE_MAKES);

	if (ret || !s->ops->prepare)
		return ret;
	ret = s->ops->prepare(s->state->data);
	if (ret)
		lp_state_free(s);
	return ret;
}

/* In the reverse order of how they came. */
static void lp_states_post_unpatch(struct lp_state *states, size_t count)
{
	while (count--) {
		struct lp_state *s = &states[count];

		if (s->ops->release && (s->role == LP_STATE_MAKES || s->role == LP_STATE_KEEPS))
			s->ops->release(s->state->data);
		/* The older patch's data, not taken yet, is not here. */
		lp_state_free(s);
	}
}

static int lp_states_pre_patch(struct lp_state *states, size_t count, bool replace)
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct klp_state *prev = klp_get_prev_state(states[i].state->id);
		int ret = prev ? lp_state_take(&states[i], prev, replace) : lp_state_make(&states[i]);

		if (ret) {
			/* The kernel calls post_unpatch only for a pre_patch that succeeded. */
			lp_states_post_unpatch(states, i);
			return ret;
		}
	}
	return 0;
}

static void lp_state_succeed(struct lp_state *s, struct klp_state *prev)
{
	if (s->role == LP_STATE_TAKES) {
		s->state->data = prev->data;
	} else {
		s->ops->upgrade(s->state->data, prev->data, prev->version);
		kfree(prev->data);
	}
	prev->data = NULL;
}

static void lp_states_post_patch(struct lp_state *states, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct lp_state *s = &states[i];

		if (s->role == LP_STATE_TAKES || s->role == LP_STATE_UPGRADES)
			/* It is there until the replaced patches go, after this. */
			lp_state_succeed(s, klp_get_prev_state(s->state->id));
		else if (s->ops->apply)
			/* Also once more, where disabling was called off after pre_unpatch. */
			s->ops->apply(s->state->data);
		s->role = LP_STATE_KEEPS;
	}
}

static void lp_states_pre_unpatch(struct lp_state *states, size_t count)
{
	while (count--) {
		struct lp_state *s = &states[count];

		if (s->ops->restore)
			s->ops->restore(s->state->data);
	}
}
