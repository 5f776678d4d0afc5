// A table of one entry tells its size: no entry has fewer than one relocation for the code, and the rest is its own.

extern void rare(int);
void f(int x)
{
	asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b-., %c0-.\n.word 7, 0x901\n.org 2b+12\n.popsection"
		     : : "i"("mm/slub.c"));
#ifdef PATCHED
	rare(x);
#endif
}
