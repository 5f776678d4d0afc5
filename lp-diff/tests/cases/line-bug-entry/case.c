// The line in a bug entry is no change; the entry stays the running system's.
//#EntrySize: bug_entry=12

extern int outside(int);
#ifdef PATCHED
int added(int x)
{
	return outside(x) + 1;
}
#endif

#define WARN() asm volatile("1: ud2\n" \
	".pushsection __bug_table, \"aw\"\n" \
	"2: .long 1b - 2b\n\t.long %c0 - 2b\n\t.word %c1\n\t.word %c2\n\t.org 2b + 12\n" \
	".popsection" : : "i" ("kernel/sched/core.c"), "i" (__LINE__), "i" (1))

int f(int x)
{
	if (x < 0)
		WARN();
	return outside(x);
}
