// A pointer member that points to another struct is read wrongly in old objects; `void *` that got a type is not.
//#WithoutDebug: differs

struct apple {
	int weight;
};

struct pear {
	int weight;
};

struct basket {
#ifdef PATCHED
	struct pear *fruit;
	struct apple *other;
#else
	struct apple *fruit;
	void *other;
#endif
};

int weight(struct basket *basket)
{
#ifdef PATCHED
	return basket->fruit->weight + 1;
#else
	return basket->fruit->weight;
#endif
}
