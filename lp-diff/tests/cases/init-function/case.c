// Init code has run and is freed: refused.

__attribute__((section(".init.text"))) int setup(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
