// Names that a macro makes unique by a counter are the same thing under another number.

#define PASTE(a, b) a##b
#define NAME(counter) PASTE(__UNIQUE_ID_mark, counter)
extern void keep(int (*)(int));

#ifdef PATCHED
static int NAME(__COUNTER__);
static int NAME(__COUNTER__);
#endif
#define DEFINE(name) static int name; int f(int x) { return name += x; }
DEFINE(__UNIQUE_ID_state7)

int g(int x)
{
#ifdef PATCHED
	return x + 2;
#else
	return x + 1;
#endif
}
