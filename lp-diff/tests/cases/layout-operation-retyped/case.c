// An operation that takes another argument: code that is not patched calls it the old way.
//#WithoutDebug: differs

struct operations {
#ifdef PATCHED
	int (*run)(int, int);
#else
	int (*run)(int);
#endif
};

int run(struct operations *operations, int x)
{
#ifdef PATCHED
	return operations->run(x, 1);
#else
	return operations->run(x);
#endif
}
