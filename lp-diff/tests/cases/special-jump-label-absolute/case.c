// Jump entries of Linux 4.19 and before hold three addresses; the branch direction is the lowest bit of the key's.

struct key { long enabled; long entries; };
extern struct key k;
extern void rare(int);
#ifdef PATCHED
#define DIRECTION "1"
#else
#define DIRECTION "0"
#endif
#define BRANCH(direction) asm goto("1: .byte 0x0f,0x1f,0x44,0,0\n\t" \
	".pushsection __jump_table, \"aw\"\n\t" \
	".balign 8\n\t.quad 1b, %l[yes], %c0 + " direction "\n\t.popsection" \
	: : "i" (&k) : : yes)
int f(void) { BRANCH(DIRECTION); return 0; yes: rare(2); return 1; }
int g(void) { BRANCH("0"); return 0; yes: rare(3); return 1; }
