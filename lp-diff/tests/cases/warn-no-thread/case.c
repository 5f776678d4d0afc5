// A function that sleeps in a loop until something happens is left by the tasks that the livepatch core wakes.

extern void schedule(void);
extern int ready;

int wait(int x)
{
	while (!__atomic_load_n(&ready, 0))
		schedule();
#ifdef PATCHED
	return x + 1;
#else
	return x;
#endif
}
