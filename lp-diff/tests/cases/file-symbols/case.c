// Of two files in one object each has its own variable of the same name.
//#Link: other.c
//#Run: f(1); other(1); f(1)

static int state = 4;

int f(int x)
{
#ifdef PATCHED
	return 100 + (state += x);
#else
	return state += x;
#endif
}
