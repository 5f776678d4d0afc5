// The name of a function is a constant of its own, numbered by the compiler.
//#Run: void f(); void g()

extern void say(const char *);
extern void set(const char *, int);

#ifdef PATCHED
void added(void)
{
	set(__func__, 7);
}
#endif

void f(void)
{
	set(__func__, 1);
}

void g(void)
{
#ifdef PATCHED
	say("g\n");
#endif
	set(__func__, 2);
}
