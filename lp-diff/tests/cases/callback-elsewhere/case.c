// A callback is declared in the file that defines it.
#include "../../../../templates/livepatch.h"
int counter;

#ifdef PATCHED
void reset(struct klp_object *obj);
LP_POST_PATCH_CALLBACK(reset);
#endif
