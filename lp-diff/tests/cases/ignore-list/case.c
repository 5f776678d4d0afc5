// A list that the kernel has read already may differ where the author says so.
#include "../../../../templates/livepatch.h"
struct entry { int number; };
__attribute__((used, section("_entries"))) static struct entry one = { 1 };
#ifdef PATCHED
__attribute__((used, section("_entries"))) static struct entry two = { 2 };
LP_IGNORE_SECTION("_entries");
#endif

int version(void)
{
#ifdef PATCHED
	return 2;
#else
	return 1;
#endif
}
