// A constant that was the line of an inlined function's call, and now is another number, is changed.

extern void *start(void *what, unsigned line, int type);
extern int other(int);

static inline void *start_two(void *what, unsigned ms)
{
	return start(what, ms, 2);
}

#ifdef PATCHED
#define MS 1006
#line 1005
#else
#define MS 1000
#line 998
#endif
void *f(void *what, int x)
{
	void *handle = start_two(what, MS);

	return handle ? handle : start_two(what, other(x));
}
