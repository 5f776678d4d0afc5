// The order of functions in the source changes nothing, nor do the numbers that their clones get by it.

extern int outside(int);

static __attribute__((noinline)) int helper(int x, int how)
{
	return how == 1 ? outside(x) : outside(x + how) * 7;
}

#ifndef PATCHED
int f(int x)
{
	return helper(x, 1) + helper(x + 3, 1);
}
#endif

int g(int x)
{
	return helper(x, 2) + helper(x + 3, 2);
}

#ifdef PATCHED
int f(int x)
{
	return helper(x, 1) + helper(x + 3, 1);
}
#endif
