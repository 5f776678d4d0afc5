// A function that is handed to kthread_create and sleeps in a loop is a thread's main loop, whatever ends it.

extern void *kthread_create_on_node(int (*function)(void *), void *data, int node, const char *name);
extern void schedule(void);
extern int work(int x);

static int thread(void *data)
{
	int *stop = data;

	while (!__atomic_load_n(stop, 0)) {
#ifdef PATCHED
		work(2);
#else
		work(1);
#endif
		schedule();
	}
	return 0;
}

void *start(int *stop)
{
	return kthread_create_on_node(thread, stop, -1, "worker");
}
