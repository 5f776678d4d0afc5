// A datum that the running system has cannot grow.

#ifdef PATCHED
int slots[8];
#else
int slots[4];
#endif

int f(int x)
{
	return slots[x & 3];
}
