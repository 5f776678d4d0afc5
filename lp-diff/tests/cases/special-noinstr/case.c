// A noinstr function that changed cannot be redirected, nor can a noinstr one that uses it: refused.

#define noinstr __attribute__((no_instrument_function, noinline, section(".noinstr.text")))
static noinstr int inner(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
noinstr int outer(int x) { return inner(x) + 1; }
int traced(int x) { return inner(x) + 2; }
