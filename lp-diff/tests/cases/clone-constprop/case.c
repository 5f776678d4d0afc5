// A clone for a constant argument has the clone as its twin.
//#Run: f(2); g(3)

extern int outside(int);

static __attribute__((noinline)) int scale(int x, int by)
{
	for (int i = 0; i < by; i++)
		x = outside(x);
#ifdef PATCHED
	return x + by + 1;
#else
	return x + by;
#endif
}

int f(int x)
{
	return scale(x, 3);
}

int g(int x)
{
	return scale(x, 3) + 1;
}
