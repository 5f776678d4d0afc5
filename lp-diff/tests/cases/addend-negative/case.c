// An address before the start of an array belongs to that array.
//#Run: f(10); f(12)

static int before[4] = { 1, 2, 3, 4 };
static int slots[8] = { 10, 11, 12, 13, 14, 15, 16, 17 };

void fill(int x)
{
	slots[x & 7] = x;
	before[x & 3] = x;
}

int f(int x)
{
#ifdef PATCHED
	return slots[x - 10] + before[0] + 1000;
#else
	return slots[x - 10] + before[0];
#endif
}
