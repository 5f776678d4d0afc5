// The key of a lock's class belongs to its use: a changed function has its own.

struct lock { int held; };
struct lock_class_key { char bytes[8]; };
extern void lock_init(struct lock *, const char *, struct lock_class_key *);

#define spin_lock_init(lock) do { \
	static struct lock_class_key __key; \
	lock_init(lock, #lock, &__key); \
} while (0)

void f(struct lock *one, struct lock *other)
{
	spin_lock_init(one);
#ifdef PATCHED
	spin_lock_init(other);
#endif
}

void g(struct lock *one)
{
	spin_lock_init(one);
}
