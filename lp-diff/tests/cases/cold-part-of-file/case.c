// Of two files in one object each has a function of the same name: a cold part belongs to the one of its own file.
//#Link: other.c

extern int slow(int);
extern void oops(int) __attribute__((cold));

static __attribute__((noinline)) int helper(int x)
{
	if (x < 0) {
#ifdef PATCHED
		oops(x + 7);
#else
		oops(x + 3);
#endif
		oops(1);
	}
	return slow(x) + 1;
}

int f(int x)
{
	return helper(x) * 2;
}
