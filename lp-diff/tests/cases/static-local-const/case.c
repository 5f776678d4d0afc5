// A constant table of a function is no state: changed, it comes along.
//#Run: f(1); g(2)

int f(int x)
{
#ifdef PATCHED
	static const int step[] = { 3, 1, 4, 1, 5, 9, 2, 7 };
#else
	static const int step[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
#endif

	return step[(x * 7) & 7];
}

int g(int x)
{
	static const int step[] = { 2, 7, 1, 8, 2, 8, 1, 9 };

	return step[(x * 7) & 7];
}
