// A variable that becomes a constant is writable in the running system, which does not matter to readers.

#ifdef PATCHED
const int limit = 5;
#else
int limit = 5;
#endif

int f(int x)
{
	return x + *(volatile int *)&limit;
}
