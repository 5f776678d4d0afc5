static int state = 70;

int other(int x)
{
#ifdef PATCHED
	return 100 + (state += x);
#else
	return state += x;
#endif
}
