// The same locks around other work: no warning, however often the compiler copies the calls.

struct mutex {
	long owner;
};
extern struct mutex guard;
extern void mutex_lock(struct mutex *lock);
extern void mutex_unlock(struct mutex *lock);
extern int work(int x);

int f(int x)
{
	int result = -1;

	mutex_lock(&guard);
#ifdef PATCHED
	if (x < 0)
		goto out;
#endif
	result = work(x);
#ifdef PATCHED
	if (result > 100)
		result = work(result);
out:
#endif
	mutex_unlock(&guard);
	return result;
}
