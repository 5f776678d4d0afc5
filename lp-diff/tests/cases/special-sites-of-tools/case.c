// What objtool lists of the instructions comes along with them and is no difference by itself.

extern void rare(int);
#define SITE(name) ".pushsection " name ",\"a\"\n.long 1b-.\n.popsection\n"
#define RETPOLINE asm volatile("1: call __x86_indirect_thunk_rax\n" SITE(".retpoline_sites") SITE(".call_sites"))
#define SEALED asm volatile("1: endbr64\n" SITE(".ibt_endbr_seal") SITE(".cfi_sites") SITE(".return_sites") SITE(".kcfi_traps"))
void f(int x) { RETPOLINE; SEALED; rare(x + 1); }
void g(int x)
{
	RETPOLINE;
#ifdef PATCHED
	SEALED;
#endif
	rare(x);
}
