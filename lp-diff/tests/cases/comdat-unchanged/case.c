// A section group that did not change is nobody's business.
//#Compiler: gcc

asm(".pushsection .text.shared,\"axG\",@progbits,shared,comdat\n"
    ".weak shared\n.type shared,@function\nshared:\ncall __fentry__\n"
    "mov $1,%eax\n"
    "ret\n.size shared, . - shared\n.popsection");

extern int shared(void);

int f(void)
{
#ifdef PATCHED
	return shared() + 1;
#else
	return shared();
#endif
}
