// Entries about start-up code and about code that is the same stay behind.

extern void rare(int);
#define BUG asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b-., %c0-.\n.word 7, 0x901\n.org 2b+12\n.popsection" : : "i"("mm/slub.c"))
__attribute__((section(".init.text"))) void setup(int x) { BUG; rare(x); }
__attribute__((section(".exit.text"))) void leave(int x) { BUG; rare(x); }
void same(int x) { BUG; rare(x); }
void f(int x)
{
	BUG;
#ifdef PATCHED
	rare(x + 1);
#endif
	rare(x);
}
