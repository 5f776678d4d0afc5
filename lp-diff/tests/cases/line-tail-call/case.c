// A line number passed to a function that is jumped to is a line number.

extern void fail(const char *file, int line);
extern void say(const char *);

#ifdef PATCHED
#line 2000
#else
#line 1000
#endif
void f(int x)
{
	if (x)
		fail(__FILE__, __LINE__);
}

void changed(void)
{
#ifdef PATCHED
	say("changed");
#endif
}
