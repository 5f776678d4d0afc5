// A tail call leaves the function by a jump, which reaches the target's function as a call does.
//#Run: f(1)

static __attribute__((noinline)) int next(int x)
{
	asm volatile("" : "+r"(x));
	return x * 3;
}

int g(int x)
{
	return next(x) + 1;
}

int f(int x)
{
#ifdef PATCHED
	return next(x + 10);
#else
	return next(x + 1);
#endif
}
