// Functions that share a section by attribute are taken out one by one, calls without relocation included.
//#Run: f(1); g(1)

#define __sched __attribute__((section(".sched.text")))

static __attribute__((noinline)) __sched int inner(int x)
{
	return x * 3;
}

__sched int f(int x)
{
#ifdef PATCHED
	return inner(x) + 2;
#else
	return inner(x) + 1;
#endif
}

__sched int g(int x)
{
	return inner(x) + 7;
}
