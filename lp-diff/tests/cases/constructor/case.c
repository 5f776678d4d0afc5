// A constructor of the kernel or a module has run when a patch comes.

extern int slow(int);
volatile int value;

__attribute__((constructor)) static void init(void)
{
#ifdef PATCHED
	value = 5;
#else
	value = 3;
#endif
}

int f(int x)
{
	return slow(x) + value;
}
