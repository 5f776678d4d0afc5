// Including livepatch.h changes nothing where nothing of it is used.
#ifdef PATCHED
#include "../../../../templates/livepatch.h"
#endif
static int calls;

static __attribute__((noinline)) int helper(int value)
{
	return value * calls++;
}

int used(int value)
{
	return helper(value) + helper(calls);
}
