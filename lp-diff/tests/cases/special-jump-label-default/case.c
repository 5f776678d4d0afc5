// A key that exists has its value already: another default in the source changes nothing by itself.

struct key { long enabled; long entries; };
extern void rare(int);
#ifdef PATCHED
struct key k = { 1 };
#else
struct key k = { 0 };
#endif
int f(int x)
{
	asm goto("1: .byte 0x0f,0x1f,0x44,0,0\n\t"
		 ".pushsection __jump_table, \"aw\"\n\t"
		 ".balign 8\n\t.long 1b - ., %l[yes] - .\n\t.quad %c0 - .\n\t.popsection"
		 : : "i" (&k) : : yes);
	return 0;
yes:
	rare(2);
	return 1;
}
