// A layout that the author allows is reported and patched.
//#AllowLayoutChange: walk

struct walk {
	int depth;
#ifdef PATCHED
	int limit;
#endif
};

extern void step(struct walk *walk);

int down(int depth)
{
	struct walk walk = { .depth = depth };
#ifdef PATCHED
	walk.limit = 8;
#endif
	step(&walk);
	return walk.depth;
}
