// Callbacks and what they call come along as new code; they make a patch without any changed function.
#include "../../../../templates/livepatch.h"
int limit = 3;

#ifdef PATCHED
static int saved;

static int checked(int value)
{
	return value > 0 ? 0 : -22;
}

static int take_over(struct klp_object *obj)
{
	saved = limit;
	limit = 5;
	return checked(saved);
}
LP_PRE_PATCH_CALLBACK(take_over);

static void give_back(struct klp_object *obj)
{
	limit = saved;
}
LP_POST_UNPATCH_CALLBACK(give_back);
#endif

int used(void)
{
	return limit;
}
