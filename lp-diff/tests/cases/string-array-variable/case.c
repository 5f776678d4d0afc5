// A table of strings that can be written is state: changed, it is refused.

extern void say(const char *);

static const char *names[] = {
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

void rename_one(int x, const char *name)
{
	names[x & 3] = name;
}
