// Two blocks with a static local of one name swap places: each keeps its state, whatever the order of the source.
//#WithoutDebug: differs
//#Run: f(3); f(-4); f(5); f(-6); f(8)

static int up(int x)
{
	return x + 1;
}
int (*volatile raise)(int) = up;
extern int raised(int), lowered(int);

int __attribute__((noinline)) raised(int x) { return raise(x); }
int __attribute__((noinline)) lowered(int x) { return -raise(x); }

int f(int x)
{
#ifdef PATCHED
	if (x < 0) {
		static int last;

		x += lowered(last);
		last = x;
	} else {
		static int last;

		x -= raised(last);
		last = x;
	}
	x *= 1000;
#else
	if (x >= 0) {
		static int last;

		x -= raised(last);
		last = x;
	} else {
		static int last;

		x += lowered(last);
		last = x;
	}
#endif
	return x;
}
