// Ignored data keeps the running value and is never carried; another size is refused all the same.
#include "../../../../templates/livepatch.h"
#define TABLE(name) __attribute__((section(name)))
#ifdef PATCHED
TABLE(".data.levels") int level = 2;
TABLE(".data.rows") int rows[4] = { 1 };
LP_IGNORE_SECTION(".data.levels");
LP_IGNORE_SECTION(".data.rows");
#else
TABLE(".data.levels") int level = 1;
TABLE(".data.rows") int rows[3] = { 1 };
#endif

int first(void)
{
#ifdef PATCHED
	return level + rows[0] + 1;
#else
	return level + rows[0];
#endif
}
