// The slow way of a feature test stands in a section of its own, and comes along with what it jumps back to.

extern void rare(int);
#define HAS(bit) ({ asm goto("1: jmp 6f\n2:\n" \
	".pushsection .altinstructions,\"a\"\n.long 1b-., 4f-.\n.word " #bit "\n.byte 2b-1b, 5f-4f\n.popsection\n" \
	".pushsection .altinstr_replacement,\"ax\"\n4: jmp %l[no]\n5:\n.popsection\n" \
	".pushsection .altinstr_aux,\"ax\"\n6: testb $1,caps+" #bit "(%%rip)\n jnz %l[yes]\n jmp %l[no]\n.popsection" \
	: : : : yes, no); })
int f(int x) { HAS(3); yes: return 1; no: return 0; }
int g(int x)
{
	HAS(5);
yes:
#ifdef PATCHED
	rare(x);
#endif
	return 1;
no:
	return 0;
}
