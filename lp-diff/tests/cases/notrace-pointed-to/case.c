// A changed notrace function that code hands out is not copied: the running system's timers have the old one.

#define notrace __attribute__((no_instrument_function, noinline))
extern int slow(int);
extern void timer_setup(void *, void (*)(void *));
extern int timer_is(void *, void (*)(void *));

static notrace void tick(void *timer)
{
#ifdef PATCHED
	slow(2);
#else
	slow(1);
#endif
}

void start(void *timer)
{
	timer_setup(timer, tick);
}

int mine(void *timer)
{
	return timer_is(timer, tick);
}
