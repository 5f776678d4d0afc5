/*
 * A system state that a livepatch changes, as an author fills it in: put it into the patched file of the kernel, below
 * the includes, and rename `my_state` and `my_setting`. livepatch.toml needs, with an id that no other state has:
 *
 *	[[state]]
 *	id = 1
 *	version = 1
 *	name = "my-setting"
 *
 * livepatch.h says when each step is called. Leave out those that you do not need.
 */
#include "livepatch.h"

/* What must be remembered for as long as any livepatch has the state. Change it only with a higher version. */
struct my_state {
	int before;
};

/* Before any task runs the new code: allocate and check. Another value than 0 stops the loading. */
static int my_state_prepare(void *data)
{
	return 0;
}

/* Every task runs the new code: make the change. Save the value of the running system, not that of the source. */
static void my_state_apply(void *data)
{
	struct my_state *state = data;

	state->before = READ_ONCE(my_setting);
	WRITE_ONCE(my_setting, 1);
}

/* A livepatch with a lower version was here: fill `data` from its `old` data, and make what is new. */
static void my_state_upgrade(void *data, void *old, unsigned int old_version)
{
	struct my_state *state = data, *older = old;

	state->before = older->before;
}

/* Before any task goes back to the old code: undo the change. */
static void my_state_restore(void *data)
{
	struct my_state *state = data;

	WRITE_ONCE(my_setting, state->before);
}

/* The last step: free what `data` points to, not `data`. */
static void my_state_release(void *data)
{
}

LP_STATE(my_state, struct my_state, 1,
	 .prepare = my_state_prepare,
	 .apply = my_state_apply,
	 .upgrade = my_state_upgrade,
	 .restore = my_state_restore,
	 .release = my_state_release);
