// A function that is no longer inlined is new, with its callers changed.
//#Run: f(1); g(2)

extern int outside(int);

#ifdef PATCHED
#define maybe __attribute__((noinline))
#else
#define maybe inline __attribute__((always_inline))
#endif

static maybe int check(int x)
{
	return outside(x < 0 ? -22 : x);
}

int f(int x)
{
#ifdef PATCHED
	return check(x - 5) + 100;
#else
	return check(x - 5);
#endif
}

int g(int x)
{
	return check(x - 7) + 1;
}
