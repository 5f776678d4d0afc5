// Two static functions of one name, of two files: each caller reaches its own.
//#Link: other.c
//#Run: f(1); other(1)

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
