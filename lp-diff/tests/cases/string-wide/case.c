// Strings of wide characters are compared as such.
//#Run: f(1)

static int length(const int *text)
{
	int sum = 0;

	while (*text)
		sum += *text++;
	return sum;
}

int f(int x)
{
#ifdef PATCHED
	return length(L"after") + x;
#else
	return length(L"before") + x;
#endif
}
