// A struct that only the patch has is new, whatever it looks like; so is one that was declared and not defined.

struct opaque;
#ifdef PATCHED
struct opaque {
	int here;
};

struct fresh {
	struct fresh *next;
	int value;
};
#endif

extern struct opaque *opaque;

int f(void *data)
{
#ifdef PATCHED
	struct fresh *fresh = data;

	return fresh->next->value + opaque->here;
#else
	return opaque != data;
#endif
}
