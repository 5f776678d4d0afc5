// The same with a static variable of the file, in registers of both kinds: what is loaded is what the variable holds.
//#Run: f(1); f(2)

extern long outside(long);
static long table __attribute__((used)) = 0x0123456789abcdefL;
#define RUNTIME(sym, reg) ({ register long v asm(reg); asm volatile("mov %1,%0\n1:\n.pushsection runtime_ptr_" #sym ",\"a\"\n.long 1b-8-.\n.popsection" \
	: "=r"(v) : "i"(0x0123456789abcdefUL)); v; })
long f(long x)
{
	long low = RUNTIME(table, "rdx"), high = RUNTIME(table, "r9"), first = RUNTIME(table, "rax");
#ifdef PATCHED
	return (outside(low) ^ outside(high + x) ^ first) + 7 * x;
#else
	return outside(low) ^ outside(high + x) ^ first;
#endif
}
