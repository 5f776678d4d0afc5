// Strings change places in their pool when one is added before them; their users are the same.
//#Run: void g()

extern void say(const char *);

#ifdef PATCHED
void added(void)
{
	say("a new string in front of all others\n");
}
#endif

void f(void)
{
	say("one\n");
}

void g(void)
{
#ifdef PATCHED
	say("two\n");
#endif
	say("three\n");
}
