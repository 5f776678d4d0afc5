// The hash that link time optimisation puts behind a promoted name tells nothing.
//#Run: f(1)

#ifdef PATCHED
int helper(int x) __asm__("helper.llvm.8461");
#else
int helper(int x) __asm__("helper.llvm.77");
#endif

__attribute__((noinline)) int helper(int x)
{
	asm volatile("" : "+r"(x));
	return x * 3;
}

int f(int x)
{
#ifdef PATCHED
	return helper(x) + 1;
#else
	return helper(x);
#endif
}
