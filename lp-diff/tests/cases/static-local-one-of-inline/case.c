// A static local of a function that is inlined into two callers is one variable.
//#Run: f(); g(); f()

static inline __attribute__((always_inline)) int next(void)
{
	static int count = 3;

	return count++;
}

int f(void)
{
#ifdef PATCHED
	return 100 + next();
#else
	return next();
#endif
}

int g(void)
{
	return next();
}
