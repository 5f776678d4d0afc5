// A string that is the tail of another one is found in it.
//#Run: void f(); void g()

extern void say(const char *);

void f(void)
{
#ifdef PATCHED
	say("unexpected end\n");
#else
	say("expected end\n");
#endif
}

void g(void)
{
	say("end\n");
}
