// A function that becomes local is still the one that the target knows as global.
//#Run: f(2)

extern int apply(int (*)(int), int);

#ifdef PATCHED
#define scope static
#else
#define scope
#endif

scope __attribute__((noinline)) int helper(int x)
{
	return x * 3;
}

int f(int x)
{
#ifdef PATCHED
	return apply(helper, x) + 1;
#else
	return apply(helper, x);
#endif
}
