// New data without a first value takes no bytes, in the patch as anywhere.
//#Run: f(2); f(2)
//#State: fresh

#ifdef PATCHED
static int seen[1000];
#endif

int f(int x)
{
#ifdef PATCHED
	return seen[x & 511]++ + 40;
#else
	return x;
#endif
}
