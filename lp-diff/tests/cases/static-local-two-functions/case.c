// Static locals of one name in two functions stay apart although only one function changed.
//#Run: f(1); g(1); f(1)

int f(int x)
{
	static int count = 3;

#ifdef PATCHED
	return 100 + (count += x);
#else
	return count += x;
#endif
}

int g(int x)
{
	static int count = 50;

	return count += x;
}
