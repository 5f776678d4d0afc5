// Data of the start is freed: its change cannot matter, and is refused.

static int levels[2] __attribute__((section(".init.data"), used)) = {
#ifdef PATCHED
	3, 5
#else
	3, 4
#endif
};
