// A table of strings that only this file sees is a constant like any other: it comes along.
//#Run: void f(1)

extern void say(const char *);

static const char *const names[] = {
#ifdef PATCHED
	"zero", "ONE", "two", "three",
#else
	"zero", "one", "two", "three",
#endif
};

void f(int x)
{
	say(names[x & 3]);
}

void g(int x)
{
	if (x > 3)
		say(names[x & 3]);
}
