// Exception entries of Linux 4.5 and before mark some of theirs by a fixup that is too far by a known distance.

extern void rare(int);
#define GET(p, x) asm volatile("1: mov (%1),%0\n2:\n" \
		".pushsection __ex_table,\"a\"\n.balign 8\n.long 1b-.\n.long 2b-. + 0x7ffffff0\n.popsection" \
		: "=r"(x) : "r"(p))
__attribute__((section(".sched.text"))) int f(int *p) { int x; GET(p, x); return x; }
__attribute__((section(".sched.text"))) int g(int *p)
{
	int x;
	GET(p, x);
#ifdef PATCHED
	rare(x);
#endif
	return x;
}
