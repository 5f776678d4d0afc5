// Lockdep names a timer after file and line of its declaration: that the line moved does not change the timer.
struct timer {
	void (*function)(struct timer *);
	const char *name;
};

extern void use(struct timer *);
static void expire(struct timer *timer);

static struct timer moved = { .function = expire,
#ifdef PATCHED
	.name = "mm/vmstat.c:2009",
#else
	.name = "mm/vmstat.c:2006",
#endif
};

static void expire(struct timer *timer)
{
	use(timer);
}

int f(int x)
{
#ifdef PATCHED
	x++;
#endif
	use(&moved);
	return x;
}
