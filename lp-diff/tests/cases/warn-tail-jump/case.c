// A jump from a replacement to a new function that can sleep leaves nothing on the stack that the kernel looks for.

extern int sleeps(int x);

#define noinline __attribute__((noinline))

#ifdef PATCHED
static noinline int slow(int x)
{
	return sleeps(x) + 1;
}

static noinline int quick(int x)
{
	asm volatile("" : "+r"(x));
	return x * 7;
}

static noinline int called(int x)
{
	return sleeps(x) + 2;
}
#else
#define slow(x) (x)
#define quick(x) (x)
#define called(x) (x)
#endif

int f(int x)
{
	return slow(x + 1);
}

int g(int x)
{
	return quick(x + 2);
}

int h(int x)
{
	return called(x + 3) + 1;
}
