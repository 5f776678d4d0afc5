// A new table of functions refers to the target's functions and to new ones.
//#Run: f(0, 3); f(1, 3)

static __attribute__((noinline)) int twice(int x)
{
	asm volatile("" : "+r"(x));
	return 2 * x;
}

#ifdef PATCHED
static int thrice(int x)
{
	return 3 * x;
}

struct ops {
	int (*run)(int);
};
static const struct ops ops[2] = { { twice }, { thrice } };

int f(int which, int x)
{
	return ops[which & 1].run(x) + 100;
}
#else
int f(int which, int x)
{
	return twice(x);
}
#endif

int g(int x)
{
	return twice(x) + 1;
}
