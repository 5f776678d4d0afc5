// A short branch to another function of a shared section goes through a jump behind the function.
#define __sched __attribute__((section(".sched.text")))
extern int slow(int, int);
extern int try(int *);

static __attribute__((noinline)) __sched int wait(int *lock, int how)
{
	return slow(*lock, how) + 1;
}

__sched int lock(int *l, int how)
{
#ifdef PATCHED
	if (how & 4)
		how = 2;
#endif
	if (try(l))
		return 0;
	return wait(l, how);
}
