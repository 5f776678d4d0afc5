// The flags in a bug entry are code: BUG and WARN_ON differ in nothing else.
//#EntrySize: bug_entry=12

extern int outside(int);

#define WARN(flags) asm volatile("1: ud2\n" \
	".pushsection __bug_table, \"aw\"\n" \
	"2: .long 1b - 2b\n\t.long %c0 - 2b\n\t.word %c1\n\t.word %c2\n\t.org 2b + 12\n" \
	".popsection" : : "i" ("kernel/sched/core.c"), "i" (1), "i" (flags))

int f(int x)
{
	if (x < 0)
#ifdef PATCHED
		WARN(0x907);
#else
		WARN(0x901);
#endif
	return outside(x);
}
