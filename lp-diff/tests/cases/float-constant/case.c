// A constant that the compiler keeps in a pool of its size is compared by value.
//#Compiler: gcc, clang-14, clang-19
//#Run: f(2); g(3)

int f(int x)
{
#ifdef PATCHED
	return x * 2.75;
#else
	return x * 2.25;
#endif
}

int g(int x)
{
	return x * 3.5;
}
