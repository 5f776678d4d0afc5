// A line number behind the name of the source in a formatted message is no change.

extern void report_at(const char *format, const char *file, int line, int value);
extern int outside(int);

#ifdef PATCHED
int added(int x)
{
	return outside(x) + 1;
}
#endif

int f(int x)
{
	report_at("%s:%d: %d\n", "drivers/net/card.c", __LINE__, x);
	return outside(x);
}
