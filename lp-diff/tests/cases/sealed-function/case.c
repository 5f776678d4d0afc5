// With branches tracked, the address of a function that had no ENDBR64 must not be taken for the first time.
//#Flags: -fcf-protection=branch

extern int slow(int);
extern int apply(int (*)(int), int);

static __attribute__((noinline)) int helper(int x)
{
	return slow(x) + 7;
}

static __attribute__((noinline)) int pointed_to(int x)
{
	return slow(x) + 8;
}

int g(int x)
{
	return helper(x) * 2 + apply(pointed_to, x);
}

int f(int x)
{
#ifdef PATCHED
	return apply(helper, x) + apply(pointed_to, x);
#else
	return slow(x) + 1;
#endif
}
