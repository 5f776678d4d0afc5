// Init code that differs is no obstacle where the author says so.
#include "../../../../templates/livepatch.h"
int counter;

__attribute__((section(".init.text"))) int start(void)
{
#ifdef PATCHED
	return counter + 1;
#else
	return counter;
#endif
}

#ifdef PATCHED
LP_IGNORE_SECTION(".init.text");
#endif

int stop(void)
{
#ifdef PATCHED
	return counter - 1;
#else
	return counter;
#endif
}
