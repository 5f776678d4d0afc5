// A changed function that was in a section group: another file's copy of it may be the one that runs.

#ifdef PATCHED
int f(int x)
{
	return x + 2;
}
#else
asm(".section .text.f,\"axG\",@progbits,f,comdat\n\t.weak f\n\t.type f,@function\nf: call __fentry__\n\tlea 1(%rdi),%eax\n\tret\n\t.size f, .-f\n\t.section __mcount_loc,\"a\"\n\t.quad f\n\t.text");
#endif

int g(int x)
{
	return x * 3;
}
