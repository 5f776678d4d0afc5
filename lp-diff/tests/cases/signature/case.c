// A function that gets another argument changes with all its callers.
//#Run: f(1); g(2)

#ifdef PATCHED
static __attribute__((noinline)) int helper(int x, int y)
{
	asm volatile("" : "+r"(x));
	return x * y;
}
#define CALL(x) helper(x, x & 1)
#else
static __attribute__((noinline)) int helper(int x)
{
	asm volatile("" : "+r"(x));
	return x * 3;
}
#define CALL(x) helper(x)
#endif

int f(int x)
{
	return CALL(x + 1);
}

int g(int x)
{
	return CALL(x) + 1;
}
