// With kCFI, the address of a function that had no hash of its type must not be taken for the first time.
//#Compiler: clang-19
//#Flags: -fsanitize=kcfi

extern int slow(int);
extern int apply(int (*)(int), int);

static __attribute__((noinline)) int helper(int x)
{
	return slow(x) + 7;
}

int g(int x)
{
	return helper(x) * 2;
}

int f(int x)
{
#ifdef PATCHED
	return apply(helper, x);
#else
	return slow(x) + 1;
#endif
}
