// A call through a pointer that is told its line is the same when code above it grew, and another number counts.
//#WithoutDebug: differs

typedef void (*handler)(void *context, const char *format, ...);
extern handler *current(void);
extern handler error;
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
#line 1005 "/home/somebody/a tree~1/file.c"
#else
#line 1000 "/home/somebody/a tree~1/file.c"
#endif
int by_variable(int x)
{
	if (x > 5)
		error(0, "at %s:%d\n", __FILE__, __LINE__);
	return x + 1;
}

int by_function(int x)
{
	if (x > 5)
		(*current())(0, "at %s:%d\n", __FILE__, __LINE__);
	return x + 1;
}

#ifdef PATCHED
#define NUMBER 77
#else
#define NUMBER 76
#endif

int changes(int x)
{
	if (x > 5)
		error(0, "at %s:%d\n", __FILE__, NUMBER);
	return x + 1;
}
