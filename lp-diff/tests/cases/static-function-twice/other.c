static __attribute__((noinline)) int helper(int x)
{
	asm volatile("" : "+r"(x));
	return x * 5;
}

int other(int x)
{
#ifdef PATCHED
	return helper(x) + 2;
#else
	return helper(x);
#endif
}
