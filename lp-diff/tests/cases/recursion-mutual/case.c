// Of two functions that call each other only the changed one is taken.
//#Run: f(5); g(4)

int f(int x);

__attribute__((noinline)) int g(int x)
{
	return x <= 0 ? 2 : f(x - 1) * 3;
}

__attribute__((noinline)) int f(int x)
{
#ifdef PATCHED
	return x <= 0 ? 5 : g(x - 1) + 4;
#else
	return x <= 0 ? 5 : g(x - 1) + 1;
#endif
}
