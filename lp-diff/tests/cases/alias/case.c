// A function with two names changes under both: there is one code.
//#Run: f(1); same_as_f(2); g(3)

int f(int x)
{
	asm volatile("" : "+r"(x));
#ifdef PATCHED
	return x + 20;
#else
	return x + 2;
#endif
}

int same_as_f(int x) __attribute__((alias("f")));

int g(int x)
{
	return same_as_f(x);
}
