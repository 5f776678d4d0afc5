// A notrace function that did not change is called where it is.
//#Run: f(1)

#define notrace __attribute__((no_instrument_function, noinline))

static notrace int helper(int x)
{
	asm volatile("" : "+r"(x));
	return x * 3;
}

int f(int x)
{
#ifdef PATCHED
	return helper(x) + 100;
#else
	return helper(x) + 1;
#endif
}
