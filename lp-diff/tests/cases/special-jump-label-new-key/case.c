// A key that is new comes along, and the kernel finds it in the patch.

struct key { long enabled; long entries; };
extern void rare(int);
#ifdef PATCHED
struct key fresh = { 1 };
#endif
int f(int x)
{
#ifdef PATCHED
	asm goto("1: .byte 0x0f,0x1f,0x44,0,0\n\t"
		 ".pushsection __jump_table, \"aw\"\n\t"
		 ".balign 8\n\t.long 1b - ., %l[yes] - .\n\t.quad %c0 - .\n\t.popsection"
		 : : "i" (&fresh) : : yes);
#endif
	return 0;
yes:
	rare(2);
	return 1;
}
