// A function that gets a cold part, and one that loses it, changed; the part comes along and goes with it.
//#Compiler: gcc

extern int outside(int);
extern void oops(int) __attribute__((cold));

int gets(int x)
{
#ifdef PATCHED
	if (x < 0) {
		oops(x);
		oops(x + 1);
		x = 0;
	}
#endif
	return outside(x) + 1;
}

int loses(int x)
{
#ifndef PATCHED
	if (x < 0) {
		oops(x + 2);
		oops(x + 3);
		x = 0;
	}
#endif
	return outside(x) + 2;
}

int keeps(int x)
{
	if (x < 0) {
		oops(x + 4);
		oops(x + 5);
		x = 0;
	}
	return outside(x) + 3;
}
