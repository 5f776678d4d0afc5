// An object has one callback of each kind.
#include "../../../../templates/livepatch.h"
int counter;

#ifdef PATCHED
static void one(struct klp_object *obj)
{
	counter++;
}
LP_POST_PATCH_CALLBACK(one);

static void two(struct klp_object *obj)
{
	counter--;
}
LP_POST_PATCH_CALLBACK(two);
LP_PRE_UNPATCH_CALLBACK(two);
#endif
