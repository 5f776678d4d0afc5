// A short branch that reaches nothing behind its function is refused.
//#Compiler: gcc

#define __sched __attribute__((section(".sched.text")))
extern int slow(int, int);
extern int step(int, int, int, int);

static __attribute__((noinline)) __sched int wait(int *lock, int how)
{
	return slow(*lock, how) + 1;
}

__sched int lock(int *l, int how)
{
#ifdef PATCHED
	*l += 3;
#endif
	if (__builtin_expect(how == 1, 1))
		return wait(l, how);
	return step(1, 2, 3, 4) + step(5, 6, 7, 8) + step(9, 10, 11, 12) + step(13, 14, 15, 16) + step(17, 18, 19, 20);
}
