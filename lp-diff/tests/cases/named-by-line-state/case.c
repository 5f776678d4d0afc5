// Variables that a macro names by their lines: nobody takes one for the other that is called so now.
//#WithoutDebug: differs

extern int slow(int);
#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
#define COUNTED(name) \
	static int CAT(calls_, __LINE__); \
	int name(int x)  { return slow(x) + CAT(calls_, __LINE__)++; }

#ifdef PATCHED
#line 22
#else
#line 20
#endif
COUNTED(first)

COUNTED(second)

int f(int x)
{
#ifdef PATCHED
	return slow(x) + 3;
#else
	return slow(x) + 4;
#endif
}
