extern void use(int *);
static int count = 1;

static __attribute__((noinline)) int helper(int x)
{
	use(&count);
#ifdef PATCHED
	return x - 1;
#else
	return x + 1;
#endif
}

int g(int x)
{
	return helper(x);
}
