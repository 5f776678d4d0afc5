// Room for patching is no fentry site on x86-64.
//#Compiler: gcc
//#Flags: -fpatchable-function-entry=5

__attribute__((no_instrument_function)) int f(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
