// Types that refer to each other in circles are gone through once.
//#WithoutDebug: differs

struct second;

struct first {
	struct second *second;
	struct first *self;
	struct first *(*make)(struct second *);
};

struct second {
	struct first first[2];
	struct second **others;
#ifdef PATCHED
	int grew;
#endif
};

int f(struct first *first)
{
#ifdef PATCHED
	return first->self->second->grew;
#else
	return first->self->second != 0;
#endif
}
