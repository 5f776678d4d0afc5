// A changed constant argument without the name of a source is a change.
//#Run: void f()

extern void set(const char *what, int value);

void f(void)
{
#ifdef PATCHED
	set("limit", 20);
#else
	set("limit", 10);
#endif
}
