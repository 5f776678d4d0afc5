// A change of an inlined function changes all its callers, and only them.
//#Run: f(1); g(2); h(3)

extern int outside(int);

static inline __attribute__((always_inline)) int check(int x)
{
#ifdef PATCHED
	return x < 0 ? -22 : x;
#else
	return x;
#endif
}

int f(int x)
{
	return outside(check(x - 5));
}

int g(int x)
{
	return outside(check(x - 7)) + 1;
}

int h(int x)
{
	return outside(x) + 2;
}
