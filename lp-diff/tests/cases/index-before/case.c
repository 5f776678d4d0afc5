// A table that is indexed from one before, in a section that data share: no code counts from below its start.
//#Run: get(2); same(1); same(3)

#define __read_mostly __attribute__((section(".data..read_mostly")))

static int table[3] __read_mostly = { 3, 4, 5 };
#ifdef PATCHED
static int added __read_mostly = 1;
#endif
static int next __read_mostly = 9;

int get(long i)
{
#ifdef PATCHED
	i += added;
#endif
	return table[i - 1];
}

int same(long i)
{
	return table[i - 1];
}

int other(void)
{
	return next;
}

void set(int i, int x)
{
	table[i] = x;
	next = x;
#ifdef PATCHED
	added = x;
#endif
}
