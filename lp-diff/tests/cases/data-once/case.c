// A flag of a macro that speaks once belongs to its use: a changed function has its own.
//#Run: f(-1); f(-1)
//#State: fresh

extern void say(const char *);

#define once(text) do { \
	static _Bool __attribute__((section(".data..once"))) __already_done; \
	if (!__already_done) { __already_done = 1; say(text); } \
} while (0)

int f(int x)
{
	if (x < 0)
		once("negative\n");
#ifdef PATCHED
	if (x < 0)
		once("very negative\n");
#endif
	return x;
}
