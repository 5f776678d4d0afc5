// A constant that is a line of the function, but not of this call, is a constant.

extern int wait_ready(const char *who, int timeout_ms);
extern void say(const char *);
int f(int x)
{
#ifdef PATCHED
	say("a");
#define TIMEOUT 17
#else
	say("b");
#define TIMEOUT 16
#endif
	say("c");
	x += 3;
	say("d");
	return wait_ready(__func__, TIMEOUT) + x;
}

#ifdef PATCHED
#define LIMIT 30
#else
#define LIMIT 29
#endif

int g(int x)
{
	say("c");
	say("d");
	return wait_ready(__func__, LIMIT) + x;
}
