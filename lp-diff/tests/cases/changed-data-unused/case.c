// Changed data is refused although no function of the file uses it.

int limit =
#ifdef PATCHED
	20;
#else
	10;
#endif
