// A static local belongs to the function that declares it, not to the one that it is inlined into.
//#WithoutDebug: differs

extern int outside(int);

static inline __attribute__((always_inline)) int next(void)
{
	static int count = 1;

	return outside(count++);
}

int f(int x)
{
#ifdef PATCHED
	return next() + x;
#else
	static int count = 1;

	count += x;
	return outside(count);
#endif
}

int g(int x)
{
#ifdef PATCHED
	if (x)
		return 3;
#endif
	return next() - x;
}
