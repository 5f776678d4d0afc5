// New data that the patch writes to is lost with the patch; constants and what macros keep are no matter.

static const int limits[2] = { 3, 4 };
#ifdef PATCHED
static int seen;
#endif

int f(int x)
{
#ifdef PATCHED
	static _Bool __already_done;
	static long total;

	if (!__already_done) {
		__already_done = 1;
		seen = x;
	}
	total += x;
	return limits[x & 1] + (int)total + seen;
#else
	return limits[x & 1];
#endif
}
