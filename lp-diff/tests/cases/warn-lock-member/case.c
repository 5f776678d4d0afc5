// A lock member in a type whose layout the author allows: objects of the old layout do not have it.
//#AllowLayoutChange: queue

typedef struct spinlock {
	int raw;
} spinlock_t;

struct queue {
	int length;
#ifdef PATCHED
	spinlock_t lock;
#endif
};

int f(struct queue *queue)
{
#ifdef PATCHED
	queue->lock.raw = 1;
#endif
	return queue->length;
}
