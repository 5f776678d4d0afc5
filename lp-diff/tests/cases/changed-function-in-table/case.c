// A table of functions is the same when one of its functions changed: the target's entry is what it holds.
//#Run: f(0, 3); f(1, 3)

static int twice(int x)
{
	return 2 * x;
}

static int thrice(int x)
{
#ifdef PATCHED
	return 3 * x + 1;
#else
	return 3 * x;
#endif
}

struct ops {
	int (*run)(int);
};
const struct ops ops[2] = { { twice }, { thrice } };

int f(int which, int x)
{
	return ops[which & 1].run(x);
}
