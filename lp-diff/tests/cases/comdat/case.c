// Of a function in a section group the linker keeps one of many: refused.
//#Compiler: gcc

asm(".pushsection .text.shared,\"axG\",@progbits,shared,comdat\n"
    ".weak shared\n.type shared,@function\nshared:\ncall __fentry__\n"
#ifdef PATCHED
    "mov $2,%eax\n"
#else
    "mov $1,%eax\n"
#endif
    "ret\n.size shared, . - shared\n.popsection");

extern int shared(void);

int f(void)
{
	return shared();
}
