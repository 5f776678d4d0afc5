// A function that becomes global is the same one.
//#Run: f(2)

#ifdef PATCHED
#define scope
#else
#define scope static
#endif

scope __attribute__((noinline)) int helper(int x)
{
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
