// New data comes along with its user.

#ifdef PATCHED
static int table[4] = { 1, 2, 3, 4 };
#endif

int f(int x)
{
#ifdef PATCHED
	return table[x & 3]++;
#else
	return x;
#endif
}
