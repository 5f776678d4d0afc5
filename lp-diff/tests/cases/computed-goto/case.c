// A table of labels belongs to its function.
//#Run: f(0); f(1); f(2)

extern int outside(int);

int f(int x)
{
	static const void *const labels[] = { &&zero, &&one, &&two };

	goto *labels[x];
zero:
	return outside(1);
one:
#ifdef PATCHED
	return outside(2) + 50;
#else
	return outside(2) + 5;
#endif
two:
	return outside(3) * 2;
}
