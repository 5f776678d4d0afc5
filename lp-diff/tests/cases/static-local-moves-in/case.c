// A variable of the file that becomes a static local may be the same one with its state, or a new one: refused.

#ifndef PATCHED
static int count;
#endif

int f(int x)
{
#ifdef PATCHED
	static int count;
#endif
	count += x;
	return count;
}
