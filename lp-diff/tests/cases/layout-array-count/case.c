// An array with another count moves what comes after it; one without a bound has no size.
//#WithoutDebug: differs

#ifdef PATCHED
#define SLOTS 8
#else
#define SLOTS 4
#endif

struct table {
	int slots[SLOTS];
	int used;
	int rest[];
};

int used(struct table *table)
{
	return table->used;
}
