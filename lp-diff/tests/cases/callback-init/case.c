// Init code is gone when the kernel calls a callback.
#include "../../../../templates/livepatch.h"
int counter;

#ifdef PATCHED
__attribute__((section(".init.text"))) static void reset(struct klp_object *obj)
{
	counter = 0;
}
LP_POST_PATCH_CALLBACK(reset);
#endif
