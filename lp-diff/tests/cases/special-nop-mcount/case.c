// A site that is listed and already a no-op is one: the call need not be there.
//#Compiler: gcc
//#GccFlags: -mnop-mcount

int f(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
