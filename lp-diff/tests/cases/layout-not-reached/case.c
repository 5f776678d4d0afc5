// A struct that differs and that patched code cannot reach is no hazard.

struct elsewhere {
	int a;
#ifdef PATCHED
	int b;
#endif
};

int a(struct elsewhere *elsewhere)
{
	return elsewhere->a;
}

int f(int x)
{
#ifdef PATCHED
	return x + 2;
#else
	return x + 1;
#endif
}
