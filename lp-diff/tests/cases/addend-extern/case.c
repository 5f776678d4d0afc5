// The same instructions at another place of someone else's array differ.

extern int theirs[8];

int f(int x)
{
#ifdef PATCHED
	return theirs[5] + x;
#else
	return theirs[3] + x;
#endif
}
