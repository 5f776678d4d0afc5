// A statement without effect is said, and what is ignored can leave nothing to patch.
#include "../../../../templates/livepatch.h"
int counter;

int bump(void)
{
#ifdef PATCHED
	return ++counter;
#else
	return counter++;
#endif
}

int read(void)
{
	return counter;
}

#ifdef PATCHED
LP_IGNORE_FUNCTION(bump);
LP_IGNORE_FUNCTION(read);
LP_IGNORE_SECTION(".data.gone");
#endif
