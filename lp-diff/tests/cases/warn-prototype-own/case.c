// A function that only its own file calls may change as it likes; so may the name of a type.

typedef int number;

#ifdef PATCHED
static __attribute__((noinline)) int own(int x, int y)
{
	return x * y;
}
#else
static __attribute__((noinline)) int own(int x)
{
	return x * 3;
}
#endif

#ifdef PATCHED
number shared(const number x)
{
	return own(x, 4) + 1;
}
#else
int shared(int x)
{
	return own(x);
}
#endif
