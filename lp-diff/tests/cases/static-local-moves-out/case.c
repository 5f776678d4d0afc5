// A static local that becomes a variable of the file may be the same one with its state, or a new one: refused.

#ifdef PATCHED
static int count;
#endif

int f(int x)
{
#ifndef PATCHED
	static int count;
#endif
	count += x;
	return count;
}

int g(void)
{
#ifdef PATCHED
	return count;
#else
	return 0;
#endif
}
