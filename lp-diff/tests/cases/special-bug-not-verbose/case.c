// Without names of files (CONFIG_DEBUG_BUGVERBOSE off) flags stand behind the address, and no line.

extern void rare(int);
#ifdef PATCHED
#define FLAGS "0x903"
#else
#define FLAGS "0x901"
#endif
#define BUG(flags) asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b-.\n.word " flags "\n.org 2b+8\n.popsection")
void f(int x) { rare(x); BUG("0x901"); rare(x + 1); }
void g(int x) { rare(x); BUG(FLAGS); rare(x + 1); }
