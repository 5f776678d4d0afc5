// Entries that could be of two sizes by their relocations are refused.
//#Flags: -g0

extern void rare(int);
#define BUG(rest) asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b-.\n" rest "\n.org 2b+16\n.popsection")
void f(int x)
{
	BUG(".long 0\n.long 1b-.");
	BUG(".long 1b-.\n.long 1b-.");
#ifdef PATCHED
	rare(x);
#endif
}
