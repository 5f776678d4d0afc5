// A function whose unused result or argument the compiler took away is known by its whole name.
//#Run: f(2); g(3)

struct pair { int a, b; };
extern int outside(int);

static __attribute__((noinline)) int sum(struct pair *pair, int unused)
{
#ifdef PATCHED
	return outside(pair->a) + pair->b + 1;
#else
	return outside(pair->a) + pair->b;
#endif
}

int f(int x)
{
	struct pair pair = { x, x + 1 };

	return sum(&pair, 1);
}

int g(int x)
{
	struct pair pair = { x, 2 * x };

	return sum(&pair, 2);
}
