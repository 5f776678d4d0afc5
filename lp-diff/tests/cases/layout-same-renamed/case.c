// Members that are only called or typed differently lie where they lay: a note, and patched.

struct thing {
#ifdef PATCHED
	unsigned int total;
	int fresh;
#else
	int total;
	int stale;
#endif
};

int total(struct thing *thing)
{
#ifdef PATCHED
	return thing->total + thing->fresh + 1;
#else
	return thing->total + thing->stale;
#endif
}
