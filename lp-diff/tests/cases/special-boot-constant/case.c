// Code that the kernel completes as it boots (runtime constants, Linux 6.11) reads the exported variable in a patch.
//#Symvers: USER_PTR_MAX vmlinux

extern void rare(long);
#define RUNTIME(sym) ({ long v; asm("mov %1,%0\n1:\n.pushsection runtime_ptr_" #sym ",\"a\"\n.long 1b-8-.\n.popsection" \
	: "=r"(v) : "i"(0x0123456789abcdefUL)); v; })
void f(void) { rare(RUNTIME(USER_PTR_MAX)); }
void g(long x)
{
#ifdef PATCHED
	rare(x);
#endif
	rare(RUNTIME(USER_PTR_MAX));
}
