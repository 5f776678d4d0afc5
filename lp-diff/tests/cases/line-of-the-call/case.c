// A call that is told its own line and nothing else (ext4_journal_start()) is the same when code above it grew.
//#WithoutDebug: differs

extern int start(void *what, unsigned line, int type, int blocks);
extern int other(int);

#define start(what, type, blocks) start(what, __LINE__, type, blocks)

int above(int x)
{
#ifdef PATCHED
	if (x > 3)
		return other(x);
#endif
	return other(x + 1);
}

#ifdef PATCHED
#line 1005
#else
#line 1000
#endif
int f(void *what, int x)
{
	int handle = other(x);

	if (handle)
		handle = start(what, 3, x);
	return handle;
}
