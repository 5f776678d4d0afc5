// The main loop of a kernel thread: the transition would wait for it for ever.

extern _Bool kthread_should_stop(void);
extern void schedule_timeout_interruptible(long ticks);
extern void work(int x);

int thread(void *data)
{
	while (!kthread_should_stop()) {
#ifdef PATCHED
		work(2);
#else
		work(1);
#endif
		schedule_timeout_interruptible(100);
	}
	return 0;
}
