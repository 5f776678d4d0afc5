// A function of which a pointer is taken now cannot stand in for the version that the compiler specialised: it is new.
//#Compiler: gcc

extern int outside(int, int);

static __attribute__((noinline)) int helper(int unused, int x)
{
	return outside(x, 3) + x;
}

int f(int x)
{
	return helper(1, x);
}

int g(int x)
{
#ifdef PATCHED
	int (*volatile escape)(int, int) = helper;

	return escape(2, x) + 1;
#else
	return helper(1, x) + 1;
#endif
}
