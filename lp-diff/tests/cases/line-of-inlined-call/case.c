// A line that a macro hands to an inline function, which hands it on, is the line of the inlined function's call.
//#WithoutDebug: differs

extern void *start(void *what, unsigned line, int type);
extern void *start_with(void *what, int type, int blocks, unsigned line);
extern int other(int);

static inline void *start_two(void *what, int type, unsigned line)
{
	if (type)
		return start_with(what, type, 2, line);
	return start(what, line, 2);
}

static inline void *start_more(void *what, int type, unsigned line)
{
	other(type);
	return start_two(what, type, line);
}

#define start_two(what, type) start_two(what, type, __LINE__)
#define start_more(what, type) start_more(what, type, __LINE__)

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
void *f(void *what, int x)
{
	void *handle = start_two(what, x);

	if (handle)
		handle = start_more(handle, other(x));
	return handle;
}
