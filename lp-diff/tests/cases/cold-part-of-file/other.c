extern int slow(int);
extern void oops(int) __attribute__((cold));

static __attribute__((noinline)) int helper(int x)
{
	if (x < 0) {
		oops(x + 30);
		oops(10);
	}
	return slow(x) + 100;
}

int other(int x)
{
	return helper(x) * 3;
}
