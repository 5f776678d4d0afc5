// A shift by a constant of the boot has no room for a load, and of a variable that nobody exports nothing is known.

extern void rare(long);
#define SHIFT(val, sym) ({ unsigned v = (val); asm("shrl $12,%k0\n1:\n.pushsection runtime_shift_" #sym ",\"a\"\n.long 1b-1-.\n.popsection" \
	: "+r"(v)); v; })
#define RUNTIME(sym) ({ long v; asm("mov %1,%0\n1:\n.pushsection runtime_ptr_" #sym ",\"a\"\n.long 1b-8-.\n.popsection" \
	: "=r"(v) : "i"(0x0123456789abcdefUL)); v; })
void f(long x)
{
#ifdef PATCHED
	rare(x);
#endif
	rare(SHIFT(x, d_hash_shift));
}
void g(long x)
{
#ifdef PATCHED
	rare(x);
#endif
	rare(RUNTIME(of_another_file));
}
