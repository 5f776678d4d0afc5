// A function and its cold part are one: a change in the cold part alone changes the function.
//#Run: f(1); f(-5)

extern void oops(const char *) __attribute__((cold));
extern int outside(int);

int f(int x)
{
	if (__builtin_expect(x < 0, 0)) {
		oops("negative");
#ifdef PATCHED
		oops("very");
#endif
		return outside(x);
	}
	return x;
}
