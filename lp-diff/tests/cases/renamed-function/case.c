// A function with another name is new; the old one stays where it is, unused.
//#Run: f(2)

#ifdef PATCHED
#define helper better_helper
#endif

static __attribute__((noinline)) int helper(int x)
{
	asm volatile("" : "+r"(x));
	return x * 3;
}

int f(int x)
{
#ifdef PATCHED
	return helper(x) + 1;
#else
	return helper(x);
#endif
}
