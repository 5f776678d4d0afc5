// A line number that is passed with the name of the source is no change.
//#Run: void g()

extern void warn(const char *file, int line);
extern void say(const char *);

#ifdef PATCHED
#line 2000
#else
#line 1000
#endif
void f(void)
{
	warn("case.c", __LINE__);
}

void g(void)
{
#ifdef PATCHED
	say("g");
#endif
}
