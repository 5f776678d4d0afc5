// A table of pointers that others hold the address of is data, not a constant: refused.

struct ops {
	int (*open)(int);
};

static int one(int x)
{
	return x + 1;
}

static int two(int x)
{
	return x + 2;
}

const struct ops ops[2] = {
#ifdef PATCHED
	{ two }, { one },
#else
	{ one }, { two },
#endif
};
