// A variable that gets a first value has no such value in the running system.

#ifdef PATCHED
int limit = 5;
#else
int limit;
#endif

int f(int x)
{
	return x + limit;
}
