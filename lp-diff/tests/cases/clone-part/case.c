// A part that the compiler split off a function is code of its own: only the part changed.
//#Compiler: gcc
//#Flags: -fno-inline-small-functions
//#Run: f(0); f(3); g(0); g(4)

extern int outside(int);

static int slow(int *p)
{
	if (!p[0])
		return 0;
	outside(1);
	outside(2);
	outside(3);
#ifdef PATCHED
	return outside(p[0]) + 100;
#else
	return outside(p[0]);
#endif
}

int f(int x)
{
	return slow(&x);
}

int g(int x)
{
	return slow(&x) + 1;
}
