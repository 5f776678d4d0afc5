// A static local in a new block before another one of its name is new; the other one keeps its state.
//#WithoutDebug: differs

extern int raised(int), lowered(int);

int f(int x)
{
#ifdef PATCHED
	if (x < 0) {
		static int last;

		x += lowered(last);
		last = x;
	}
#endif
	if (x > 100) {
		static int last;

		x -= raised(last);
		last = x;
	}
	return x;
}
