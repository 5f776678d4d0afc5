// A function that calls mcount behind its first instructions cannot be redirected: refused.
//#Compiler: gcc
//#GccFlags: -mno-fentry -fno-omit-frame-pointer

int f(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
