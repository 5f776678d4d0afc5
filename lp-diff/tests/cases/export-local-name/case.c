// A static function with the name of an export is not that export.
//#Symvers: helper vmlinux
//#Run: f(2)

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
