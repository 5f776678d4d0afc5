// Of several static locals of one name in a function that changed, the debug information tells which is which.
//#WithoutDebug: differs

extern int outside(int);

int f(int x)
{
#ifdef PATCHED
	if (x == 77)
		x = outside(x);
#endif
	if (x > 0) {
		static int last;

		x += last;
		last = outside(x);
	} else {
		static int last = 5;

		x -= last;
		last = outside(-x);
	}
	return x;
}
