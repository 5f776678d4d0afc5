// A static function that the target does not have there shows another source or compiler: refused.
//#Symbols: ffffffff81000100 T f

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
