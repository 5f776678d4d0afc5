// A static local that only the cold part uses keeps its value.
//#Run: f(-1); f(1); f(-1)

extern void oops(const char *) __attribute__((cold));

int f(int x)
{
	static int failures = 2;

	if (__builtin_expect(x < 0, 0)) {
		oops("negative");
#ifdef PATCHED
		return 100 + failures++;
#else
		return failures++;
#endif
	}
	return x;
}
