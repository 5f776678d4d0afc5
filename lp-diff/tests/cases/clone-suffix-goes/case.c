// A function compiled in one version keeps its twin when the compiler no longer specialises it.
//#Compiler: gcc

extern int outside(int, int);

static __attribute__((noinline)) int helper(int how, int x)
{
	return outside(x, how) + x;
}

int f(int x)
{
	return helper(1, x);
}

int g(int x)
{
#ifdef PATCHED
	return helper(x + 9, x) + 1;
#else
	return helper(1, x) + 1;
#endif
}
