// Two locks that are taken in another order than the running version takes them.

struct mutex {
	long owner;
};
extern struct mutex first, second;
extern void mutex_lock(struct mutex *lock);
extern void mutex_unlock(struct mutex *lock);
extern int work(int x);

int f(int x)
{
	int result;

#ifdef PATCHED
	mutex_lock(&second);
	mutex_lock(&first);
#else
	mutex_lock(&first);
	mutex_lock(&second);
#endif
	result = work(x);
	mutex_unlock(&second);
	mutex_unlock(&first);
	return result;
}
