// Two blocks that swap places and do the same with a static local of one name cannot be told apart: refused.

extern int raised(int);

int f(int x, int y)
{
#ifdef PATCHED
	if (y == 4) {
		static int last;

		last = raised(last);
	}
	if (x == 3) {
		static int last;

		last = raised(last);
	}
#else
	if (x == 3) {
		static int last;

		last = raised(last);
	}
	if (y == 4) {
		static int last;

		last = raised(last);
	}
#endif
	return x;
}
