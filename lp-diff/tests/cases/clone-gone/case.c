// A clone that is gone because the callers differ now: the plain function is new, the callers are changed.
//#Run: f(2); g(3)

extern int outside(int);

static __attribute__((noinline)) int scale(int x, int by)
{
	for (int i = 0; i < by; i++)
		x = outside(x);
	return x + by;
}

int f(int x)
{
	return scale(x, 3);
}

int g(int x)
{
#ifdef PATCHED
	return scale(x, x);
#else
	return scale(x, 3) + 1;
#endif
}
