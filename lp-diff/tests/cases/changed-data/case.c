// The running system has given the datum its first value: refused.

int limit = 
#ifdef PATCHED
	20;
#else
	10;
#endif

int f(int x)
{
	return x < limit;
}
