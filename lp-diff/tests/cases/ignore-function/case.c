// A function that the author says to ignore stays the running one; a changed neighbour is patched and calls it there.
#include "../../../../templates/livepatch.h"
int counter;

static __attribute__((noinline)) void dump(int value)
{
#ifdef PATCHED
	counter += value;
#endif
	counter += value;
}

#ifdef PATCHED
LP_IGNORE_FUNCTION(dump);
#endif

int close(int value)
{
	dump(value);
#ifdef PATCHED
	return -1;
#else
	return 0;
#endif
}
