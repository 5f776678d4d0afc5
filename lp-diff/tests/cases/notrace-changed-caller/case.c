// A notrace function that only this file sees is copied into its changed callers' patch.
//#Run: f(1); g(1)

#define notrace __attribute__((no_instrument_function, noinline))

static notrace int helper(int x)
{
	asm volatile("" : "+r"(x));
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}

int f(int x)
{
	return helper(x) + 1;
}

int g(int x)
{
	return helper(x) + 2;
}
