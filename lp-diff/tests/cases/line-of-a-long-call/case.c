// A call that is told a line on which it goes on is the same when code above it grew.
//#WithoutDebug: differs

extern int start(void *what, int type, unsigned line);
extern int other(int);

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
int f(void *what, int x)
{
	int handle = other(x);

	if (handle)
		handle = start(what,
			       x +
			       3, __LINE__);
	return handle;
}

#ifdef PATCHED
#define NUMBER 1057
#else
#define NUMBER 1055
#endif

#ifdef PATCHED
#line 1055
#else
#line 1050
#endif
int changes(void *what, int x)
{
	int handle = other(x);

	if (handle)
		handle = start(what, x, NUMBER);
	return handle;
}
