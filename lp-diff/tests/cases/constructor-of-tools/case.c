// The constructors that coverage and sanitizers add are none of the source's.
//#Compiler: gcc

extern int slow(int);

#ifdef PATCHED
#define COUNTERS 2
#else
#define COUNTERS 1
#endif

static void register_counters(void) __asm__("_sub_I_00100_1");
static __attribute__((used, constructor)) void register_counters(void)
{
	slow(COUNTERS);
}

int f(int x)
{
#ifdef PATCHED
	return slow(x) + 3;
#else
	return slow(x) + 4;
#endif
}
