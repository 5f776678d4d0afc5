// Of paravirt sites the one of the changed function comes along, though the last one of all lacks its padding.

extern void rare(int);
#define PARA(op) asm volatile("771: call *pv_ops+" op "(%rip)\n772:\n.pushsection .parainstructions,\"a\"\n.balign 8\n.quad 771b\n.byte " op ", 772b-771b\n.short 1\n.popsection")
void f(int x) { PARA("8"); rare(x); }
void g(int x)
{
	PARA("16");
#ifdef PATCHED
	rare(x);
#endif
}
void h(int x) { PARA("24"); rare(x); }
