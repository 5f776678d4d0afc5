// A table that grows is refused: the running system's is as long as it was.

const int primes[] = {
	2, 3, 5, 7,
#ifdef PATCHED
	11,
#endif
};

int f(unsigned int x)
{
	return x < sizeof(primes) / sizeof(primes[0]) ? primes[x] : 0;
}
