// Static locals of one name from two helpers, of which one is no longer inlined: each keeps its value.
//#Run: f(1); g(1); f(1)

#ifdef PATCHED
#define maybe __attribute__((noinline))
#else
#define maybe __attribute__((always_inline)) inline
#endif

static maybe int helper(int x)
{
	static int count = 3;

	return count += x;
}

int f(int x)
{
	return helper(x);
}

int g(int x)
{
	static int other = 50;

#ifdef PATCHED
	return 100 + (other += x);
#else
	return other += x;
#endif
}
