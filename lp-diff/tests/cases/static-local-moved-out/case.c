// A static local whose code is moved into a function of its own keeps its value.
//#Run: f(1); f(1)

#ifdef PATCHED
static __attribute__((noinline)) int next(int x)
{
	static int count = 3;

	return count += x;
}

int f(int x)
{
	return 100 + next(x);
}
#else
int f(int x)
{
	static int count = 3;

	return count += x;
}
#endif
