// New data comes along with its user.
//#Run: f(1); f(2); f(1)
//#State: fresh

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
