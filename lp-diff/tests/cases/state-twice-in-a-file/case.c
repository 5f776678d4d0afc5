// Two operations for one state: nobody could tell who of them is in charge of it.
#include "../../../../templates/livepatch.h"
int limit = 3;

#ifdef PATCHED
static void lower(void *data)
{
	limit = 2;
}
LP_STATE(one, struct lp_no_data, 7, .apply = lower);
LP_STATE(two, struct lp_no_data, 7, .apply = lower);
#endif

int used(void)
{
	return limit;
}
