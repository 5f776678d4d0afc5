// A tracepoint of a module stays off in the patch if its jump label is compiled as one that falls through.
//#Object: m
//#Symvers: rare vmlinux

struct key { long enabled; long entries; };
extern struct key __tracepoint_x;
extern void rare(int);
#define BRANCH(key, insn) asm goto("1: " insn "\n\t" \
	".pushsection __jump_table, \"aw\"\n\t" \
	".balign 8\n\t.long 1b - ., %l[yes] - .\n\t.quad %c0 + 2 - .\n\t.popsection" \
	: : "i" (&key) : : yes)
int f(int x)
{
	BRANCH(__tracepoint_x, ".byte 0x0f,0x1f,0x44,0,0");
#ifdef PATCHED
	rare(x);
#endif
	return 0;
yes:
	rare(2);
	return 1;
}
