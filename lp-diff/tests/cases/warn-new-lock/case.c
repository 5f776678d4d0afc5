// A lock that the patch brings: the running versions do not take it.

struct mutex {
	long owner;
};
typedef struct spinlock {
	int raw;
} spinlock_t;
extern void mutex_lock(struct mutex *lock);
extern void mutex_unlock(struct mutex *lock);
extern void _raw_spin_lock(spinlock_t *lock);

#ifdef PATCHED
static struct mutex guard;
#endif
static int count;

int f(int x)
{
#ifdef PATCHED
	static spinlock_t inner;

	mutex_lock(&guard);
	_raw_spin_lock(&inner);
	count += x;
	mutex_unlock(&guard);
#else
	count += x;
#endif
	return count;
}
