// New data that points to the target's data is relocated to it.
//#Run: f(3); g(); f(4)

static int state = 5;

#ifdef PATCHED
struct link {
	int *where;
	int add;
};
struct link link = { &state, 100 };
#endif

int f(int x)
{
#ifdef PATCHED
	*link.where += x;
	link.add += 0 * x;
	return *link.where + link.add;
#else
	return state += x;
#endif
}

int g(void)
{
	return state;
}
