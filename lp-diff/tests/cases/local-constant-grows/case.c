// A constant table that only this file sees may grow: its users take a copy.
//#Run: f(1); f(7)

static const int primes[] = {
	2, 3, 5, 7, 13, 17,
#ifdef PATCHED
	11, 19,
#endif
};

int f(unsigned int x)
{
	return x < sizeof(primes) / sizeof(primes[0]) ? primes[x] : 0;
}
