// A function that gets a site does not have it in the running system: refused.

#ifndef PATCHED
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
