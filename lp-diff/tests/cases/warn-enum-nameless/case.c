// Enumerators of an enum without a name are flags that the running system has set already.

enum {
#ifdef PATCHED
	WORKER_DIE = 1 << 9,
#else
	WORKER_DIE = 1 << 1,
#endif
	WORKER_IDLE = 1 << 2,
};

int f(int *flags)
{
	return *flags & WORKER_DIE ? 1 : *flags & WORKER_IDLE;
}
