// In an object of several files each one has its own locals: names are looked up in their file, in whatever order.
//#Link: other.c

extern void use(int *);
static int count = 1;

static __attribute__((noinline)) int helper(int x)
{
	use(&count);
	return x + 1;
}

int f(int x)
{
#ifdef PATCHED
	x *= 3;
#endif
	return helper(x);
}
