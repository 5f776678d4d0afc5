// A function that takes a lock it did not take, one by the way of an inlined helper.

struct list {
	int lock;
	int length;
};
extern void _raw_spin_lock_irqsave(int *lock);
extern void _raw_spin_unlock_irqrestore(int *lock);

static inline __attribute__((always_inline)) int length(struct list *list)
{
	int length;

#ifdef PATCHED
	_raw_spin_lock_irqsave(&list->lock);
#endif
	length = list->length;
#ifdef PATCHED
	_raw_spin_unlock_irqrestore(&list->lock);
#endif
	return length;
}

int f(struct list *list)
{
	return length(list) + 1;
}
