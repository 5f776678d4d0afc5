// A static local that grows is the running system's: refused.

int f(int x)
{
#ifdef PATCHED
	static int seen[8];
#else
	static int seen[4];
#endif

	return seen[x & 3]++;
}
