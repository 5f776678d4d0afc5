// Parameters and return types of functions that code outside the patch calls: seen by other files, or in a table.

struct operations {
	void *run;
};

#ifdef PATCHED
int shared(int x, int y)
{
	return x + y;
}
#else
int shared(int x)
{
	return x;
}
#endif

#ifdef PATCHED
static long run(int x)
{
	return (long)x + 1;
}
#else
static int run(int x)
{
	return x * 7;
}
#endif

const struct operations operations = { .run = run };
