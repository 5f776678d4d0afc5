// A constant table with addresses in it (.data.rel.ro) is written to by nobody, so that the patch may hold a copy.
//#Run: f(0); f(1)

#define __relro __attribute__((section(".data.rel.ro.names")))

#ifdef PATCHED
static const char *const names[] __relro = { "first", "other" };
#else
static const char *const names[] __relro = { "first", "second" };
#endif

int f(int x)
{
	const char *const volatile *at = names;

	return at[x][0];
}
