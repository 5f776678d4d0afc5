// The name of a tracepoint that code uses for the first time serves a check of the kernel's build and is in no image.

extern int slow(int);
#define USES(name) \
	static const char __attribute__((used, section("__tracepoint_check"))) __trace_check_##name[] = #name

int f(int x)
{
#ifdef PATCHED
	USES(second);
	return slow(x) + 2;
#else
	USES(first);
	return slow(x) + 1;
#endif
}
