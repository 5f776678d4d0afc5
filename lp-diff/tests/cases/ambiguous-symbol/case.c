// Where a list of symbols does not tell whose a name is, and several have it, it is refused.
//#Symbols: ffffffff81000000 t helper
//#Symbols: ffffffff81000100 T f
//#Symbols: ffffffff81000200 t helper

static __attribute__((noinline)) int helper(int x)
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
