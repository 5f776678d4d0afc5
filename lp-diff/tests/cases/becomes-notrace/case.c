// A function that loses its site is redirected by the one that the running system has.
//#Run: f(1)

#ifdef PATCHED
__attribute__((no_instrument_function))
#endif
int f(int x)
{
#ifdef PATCHED
	return x + 20;
#else
	return x + 2;
#endif
}
