// Data that now points to a new function is changed data.

extern int outside(int);

static int old(int x)
{
	return outside(x);
}

#ifdef PATCHED
static int better(int x)
{
	return outside(x) + 1;
}
#define HANDLER better
#else
#define HANDLER old
#endif

struct ops {
	int (*run)(int);
};
struct ops ops = { HANDLER };

int f(int x)
{
	return ops.run(x) + old(x);
}
