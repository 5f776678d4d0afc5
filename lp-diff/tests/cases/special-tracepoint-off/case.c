// A module's tracepoint whose jump objtool has yet to make a no-op gets a key of the patch's own, which stays off.
//#Object: m
//#Symvers: rare vmlinux

struct key { long enabled; long entries; };
extern struct key __tracepoint_x;
extern void rare(int);
int f(int x)
{
	asm goto("1: jmp %l[yes]\n\t"
		 ".pushsection __jump_table, \"aw\"\n\t"
		 ".balign 8\n\t.long 1b - ., %l[yes] - .\n\t.quad %c0 + 2 - .\n\t.popsection"
		 : : "i" (&__tracepoint_x) : : yes);
#ifdef PATCHED
	rare(x);
#endif
	return 0;
yes:
	rare(2);
	return 1;
}
