// The same instructions at another place of an array differ.
//#Run: f(1)

static int slots[8] = { 10, 11, 12, 13, 14, 15, 16, 17 };

void fill(int x)
{
	slots[x & 7] = x;
}

int f(int x)
{
#ifdef PATCHED
	return slots[5] + x;
#else
	return slots[3] + x;
#endif
}
