// A nested function of gcc's saves a register in front of its site: it comes along with its function.
//#Compiler: gcc
//#Run: f(3)

int f(int x)
{
	__attribute__((noinline)) int inner(int y)
	{
#ifdef PATCHED
		return x * y + 1;
#else
		return x * y;
#endif
	}

	return inner(2) + inner(x);
}
