// Another format in a bug entry is a change, however equal the code is.

extern void __WARN_trap(void *entry, int);
extern void rare(int);
#define WARN(format, x) ({ void *bug; \
	asm volatile("lea 2f(%%rip), %0\n1:\n" \
		".pushsection __bug_table,\"aw\"\n2:\n" \
		".long 1b-., %c1-., %c2-.\n.word 7, 0x901\n.org 2b+16\n.popsection" \
		: "=r"(bug) : "i"(format), "i"("kernel/exit.c")); __WARN_trap(bug, x); })
#ifdef PATCHED
#define FORMAT "after %d"
#else
#define FORMAT "before %d"
#endif
void f(int x) { WARN("first %d", x); rare(x); }
void g(int x) { WARN(FORMAT, x); rare(x); }
