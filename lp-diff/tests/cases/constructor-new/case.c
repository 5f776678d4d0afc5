// A constructor that is new would never run.

extern int slow(int);
volatile int value;

#ifdef PATCHED
__attribute__((constructor)) static void init(void)
{
	value = 5;
}
#endif

int f(int x)
{
#ifdef PATCHED
	return slow(x) + value * 2;
#else
	return slow(x) + value;
#endif
}
