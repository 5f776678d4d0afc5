// Exception entries of two fields, of Linux before 4.6, with code in .fixup that goes back.

extern void rare(int);
#define GET(p, x) ({ int err = 0; \
	asm volatile("1: mov (%2),%1\n2:\n" \
		".pushsection .fixup,\"ax\"\n3: mov $-14,%0\n xor %1,%1\n jmp 2b\n.popsection\n" \
		".pushsection __ex_table,\"a\"\n.balign 8\n.long 1b-., 3b-.\n.popsection" \
		: "+r"(err), "=r"(x) : "r"(p)); err; })
int e(int *p) { int x; int err = GET(p, x); return err - x; }
int f(int *p) { int x; int err = GET(p, x); return err + x; }
int g(int *p)
{
	int x, err = GET(p, x);
#ifdef PATCHED
	rare(x);
#endif
	return err + x;
}
