// A function that calls itself goes through the target's entry, so that a patch on top is not bypassed.
//#Run: f(5)

extern int outside(int);

int f(int x)
{
	if (x <= 0)
		return 1;
#ifdef PATCHED
	return outside(f(x - 1)) + f(x - 2);
#else
	return outside(f(x - 1)) - f(x - 2);
#endif
}
