// A function whose code is the same but whose string is not has changed.
//#Run: void f(); void g()

extern void say(const char *);

void f(void)
{
#ifdef PATCHED
	say("after");
#else
	say("before");
#endif
}

void g(void)
{
	say("the same");
}
