// Two members of one size that change places are a change of layout.
//#WithoutDebug: differs

struct pair {
#ifdef PATCHED
	int second, first;
#else
	int first, second;
#endif
};

int first(struct pair *pair)
{
	return pair->first;
}
