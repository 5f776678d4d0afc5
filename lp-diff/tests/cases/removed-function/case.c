// A function that is gone from the source stays in the running system, where nobody calls it any more.
//#Run: f(2)

extern int outside(int);

#ifndef PATCHED
static __attribute__((noinline)) int helper(int x)
{
	return outside(x) * 3;
}
#endif

int f(int x)
{
#ifdef PATCHED
	return outside(x);
#else
	return helper(x);
#endif
}
