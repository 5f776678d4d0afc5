// A table that becomes const stays where it is; one that is const no longer cannot be written where it is.

struct ops { int (*get)(int); };
extern int get_a(int), get_b(int);

#ifdef PATCHED
static const struct ops now_const = { get_a };
static struct ops once_const = { get_b };
#else
static struct ops now_const = { get_a };
static const struct ops once_const = { get_b };
#endif
extern int run(const struct ops *, int);

int f(int x)
{
#ifdef PATCHED
	x++;
#endif
	return run(&now_const, x);
}

int g(int x)
{
	return run(&once_const, x);
}
