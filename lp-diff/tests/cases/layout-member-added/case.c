// A struct that patched code reaches through a pointer got a member: refused, with what holds it by value beside it.
//#WithoutDebug: differs

struct inner {
	int a;
#ifdef PATCHED
	long grew;
#endif
};

struct outer {
	struct inner inner;
	struct outer *next;
	int tail;
};

int tail(struct outer *outer)
{
	return outer->next->tail;
}
