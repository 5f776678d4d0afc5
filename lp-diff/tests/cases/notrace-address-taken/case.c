// A changed notrace function whose address is in a table cannot be replaced there.

#define notrace __attribute__((no_instrument_function, noinline))

static notrace int helper(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}

struct ops {
	int (*run)(int);
};
struct ops ops = { helper };
