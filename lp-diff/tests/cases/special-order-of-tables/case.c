// The order in which the compiler first needs the tables of an object says nothing.

extern void rare(int);
#define BUG asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b-., %c0-.\n.word 7, 0x901\n.org 2b+12\n.popsection" : : "i"("mm/slub.c"))
#define LOCK(x) asm volatile("771: .byte 0x0f,0x1f,0x44,0,0\n.pushsection .altinstructions,\"a\"\n.long 771b-.\n.long 774f-.\n.4byte 3\n.byte 5, 5\n.popsection\n.pushsection .altinstr_replacement,\"ax\"\n774: call rep\n.popsection")
void f(int x)
{
#ifdef PATCHED
	LOCK(x);
#endif
	BUG;
	LOCK(x);
	rare(x);
}
void g(int x) { BUG; LOCK(x); rare(x); }
