// A member in what was padding leaves the size as it was, and old objects have nothing there.
//#WithoutDebug: differs

struct entry {
	char state;
#ifdef PATCHED
	char more;
#endif
	int value;
};

int value(struct entry *entry)
{
#ifdef PATCHED
	return entry->more ? 0 : entry->value;
#else
	return entry->value;
#endif
}
