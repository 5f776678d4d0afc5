// What a macro names by its line is the same on another line, also where another one stood there before.
//#WithoutDebug: differs

extern int slow(int);
#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
struct call { int (*fn)(int); int arg; };
#define CALL(fn, arg) \
	static const struct call CAT(call_, __LINE__) = { fn, arg }; \
	static const struct call *const CAT(entry_, __LINE__) __attribute__((used, section("_calls"))) = &CAT(call_, __LINE__)

static int callback(int x)
{
	return slow(x) + 1;
}

#ifdef PATCHED
#line 22
#else
#line 20
#endif
CALL(callback, 1);

CALL(callback, 2);

CALL(slow, 3);

int f(int x)
{
#ifdef PATCHED
	return slow(x) + 3;
#else
	return slow(x) + 4;
#endif
}
