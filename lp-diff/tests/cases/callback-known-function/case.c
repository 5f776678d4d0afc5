// The kernel calls the patch's own copy of a callback, so a function that it has already can be none.
#include "../../../../templates/livepatch.h"
int counter;

void reset(struct klp_object *obj)
{
	counter = 0;
}
#ifdef PATCHED
LP_POST_PATCH_CALLBACK(reset);
#endif
