// The original tree has the code of a livepatch: it is not the source of what runs.
#include "../../../../templates/livepatch.h"
int limit = 3;

static void lower(void *data)
{
	limit = 2;
}
LP_STATE(one, struct lp_no_data, 7, .apply = lower);

int used(void)
{
#ifdef PATCHED
	return limit + 1;
#else
	return limit;
#endif
}
