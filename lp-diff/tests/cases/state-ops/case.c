// The operations of a state are a datum of the patch's own, with a symbol, and bring the functions along.
#include "../../../../templates/livepatch.h"
int limit = 3;

#ifdef PATCHED
struct kept {
	int before;
	int now;
};

static int check(void *data)
{
	return limit > 0 ? 0 : -22;
}

static void lower(void *data)
{
	struct kept *kept = data;

	kept->before = limit;
	limit = kept->now = 2;
}

static void restore(void *data)
{
	struct kept *kept = data;

	limit = kept->before;
}

static void take_over(void *data, void *old, unsigned int old_version)
{
	struct kept *kept = data;

	kept->before = *(int *)old;
}
LP_STATE(limit, struct kept, 7, .prepare = check, .apply = lower, .restore = restore, .upgrade = take_over);
LP_STATE(other, struct lp_no_data, 9, .apply = lower);
#endif

int used(void)
{
	return limit;
}
