// A line that is loaded before a branch, for a call that several places of a function share.
//#GccFlags: -Os
//#ClangFlags: -Os

extern int failed(const char *format, const char *file, int line, const char *function);
extern int other(int);

#define FAIL() failed("%s:%d: in %s", "lp/buffer.c", __LINE__, __func__)

int above(int x)
{
#ifdef PATCHED
	if (x > 3)
		return other(x);
#endif
	return other(x + 1);
}

#ifdef PATCHED
#line 1005
#else
#line 1000
#endif
int f(int *p, int size)
{
	int kept = other(size);

	if (size < 0)
		return FAIL();
	*p += kept;
	size = other(*p);
	if (size < 0)
		return FAIL();
	*p -= kept;
	size = other(*p);
	if (size < 0)
		return FAIL();
	return size;
}
