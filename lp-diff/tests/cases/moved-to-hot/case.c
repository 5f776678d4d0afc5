// A function that another attribute moves between .text, .text.hot and .text.unlikely is compared by its code.

extern int outside(int);

#ifdef PATCHED
__attribute__((section(".text.unlikely.f")))
#endif
int f(int x) { return outside(x) + 1; }

#ifdef PATCHED
__attribute__((section(".text.hot.g")))
#endif
int g(int x) { return outside(x) + 2; }

#ifdef PATCHED
__attribute__((section(".text.unlikely.changed")))
#endif
int changed(int x)
{
#ifdef PATCHED
	x = -x;
#endif
	return outside(x) + 3;
}
