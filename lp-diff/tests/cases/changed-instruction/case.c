// A changed constant is one changed function; its neighbour stays.
//#Run: f(1)

int f(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}

int g(int x)
{
	return x + 1;
}
