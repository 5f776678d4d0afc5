// A function that changes and moves to .text.unlikely is redirected from where it was.
//#Run: f(2)

extern int outside(int);

#ifdef PATCHED
__attribute__((cold))
#endif
int f(int x)
{
#ifdef PATCHED
	return outside(x) + 1;
#else
	return outside(x);
#endif
}
