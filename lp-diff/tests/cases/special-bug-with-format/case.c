// Bug entries with a format, of Linux 6.19, tell their line two bytes further on, and code refers to its own entry.

extern void __WARN_trap(void *entry, int);
extern void rare(int);
#define STR(x) #x
#define WARN(line, format, x) ({ void *bug; \
	asm volatile("lea 2f(%%rip), %0\n1:\n" \
		".pushsection __bug_table,\"aw\"\n2:\n" \
		".long 1b-., %c1-., %c2-.\n.word " STR(line) ", 0x901\n.org 2b+16\n.popsection" \
		: "=r"(bug) : "i"(format), "i"("kernel/exit.c")); __WARN_trap(bug, x); })
#ifdef PATCHED
void new_one(int x) { WARN(5, "new %d", x); rare(x); }
void f(int x) { WARN(20, "first %d", x); rare(x); WARN(21, "second %d", x); rare(x); }
void g(int x) { WARN(22, "third %d", x); rare(x + 1); }
#else
void f(int x) { WARN(10, "first %d", x); rare(x); WARN(11, "second %d", x); rare(x); }
void g(int x) { WARN(12, "third %d", x); rare(x); }
#endif
