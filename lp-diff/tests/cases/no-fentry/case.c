// A function without an fentry site cannot be redirected: refused.

__attribute__((no_instrument_function)) int f(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
