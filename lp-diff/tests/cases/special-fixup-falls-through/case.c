// Fixup code that runs on into the next piece takes that along.

extern void rare(int);
int f(int *p)
{
	int x, err = 0;
	asm volatile("1: mov (%2),%1\n4: mov 8(%2),%1\n2:\n"
		".pushsection .fixup,\"ax\"\n3: mov $-14,%0\n5: xor %1,%1\n jmp 2b\n.popsection\n"
		".pushsection __ex_table,\"a\"\n.balign 4\n.long 1b-., 3b-., 1\n.long 4b-., 5b-., 1\n.popsection"
		: "+r"(err), "=r"(x) : "r"(p));
#ifdef PATCHED
	rare(x);
#endif
	return err + x;
}
int g(int *p)
{
	int x, err = 0;
	asm volatile("1: mov (%2),%1\n2:\n"
		".pushsection .fixup,\"ax\"\n3: mov $-22,%0\n jmp 2b\n.popsection\n"
		".pushsection __ex_table,\"a\"\n.balign 4\n.long 1b-., 3b-., 1\n.popsection"
		: "+r"(err), "=r"(x) : "r"(p));
	return err + x;
}
