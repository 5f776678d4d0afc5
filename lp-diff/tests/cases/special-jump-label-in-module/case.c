// A jump label whose key a module has cannot be set up when the patch is loaded: refused, with its place.
//#Object: m
//#Symvers: rare vmlinux

struct key { long enabled; long entries; };
extern struct key elsewhere;
struct key own;
extern void rare(int);
#define BRANCH(key) asm goto("1: .byte 0x0f,0x1f,0x44,0,0\n\t" \
	".pushsection __jump_table, \"aw\"\n\t" \
	".balign 8\n\t.long 1b - ., %l[yes] - .\n\t.quad %c0 - .\n\t.popsection" \
	: : "i" (&key) : : yes)
int f(int x)
{
	BRANCH(elsewhere);
#ifdef PATCHED
	rare(x);
#endif
	return 0;
yes:
	return 1;
}
int g(int x)
{
	BRANCH(own);
#ifdef PATCHED
	rare(x);
#endif
	return 0;
yes:
	return 1;
}
