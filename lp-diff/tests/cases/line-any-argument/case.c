// A line number may be any argument of a call, on the stack too.
//#WithoutDebug: differs

extern int before(int line, const char *file);
extern void many(const char *file, int a, int b, int c, int d, int e, int line, int f);
extern void err(const char *function, int code, unsigned line, const char *fmt, ...);
extern void say(const char *);
#define ERR(fmt, a...) err(__func__, 7, __LINE__, fmt, ##a)

#ifdef PATCHED
#line 2000
#else
#line 1000
#endif
int f(int x)
{
	return before(__LINE__, __FILE__) + x;
}

int g(int x)
{
	many(__FILE__, 1, 2, 3, 4, 5, __LINE__, 6);
	return x;
}

int h(int x)
{
	if (x)
		ERR("bad %d",
		    x);
	return x;
}

void changed(void)
{
#ifdef PATCHED
	say("changed");
#endif
}
