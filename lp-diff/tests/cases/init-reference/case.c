// A function of the running system that calls init code calls freed memory: refused.

__attribute__((section(".init.text"), noinline)) int setup(int x)
{
	asm volatile("" : "+r"(x));
	return x;
}

int f(int x)
{
#ifdef PATCHED
	return setup(x);
#else
	return x;
#endif
}
