// An alternative without a replacement refers to where the next one begins, which means nothing.

extern void rare(int); extern void rep2(void); extern void rep3(void);
#ifdef PATCHED
#define R "call rep3"
#else
#define R "call rep2"
#endif
#define ALT(old,new) asm volatile("771: " old "\n772:\n.pushsection .altinstructions,\"a\"\n.long 771b-.\n.long 774f-.\n.4byte 3\n.byte 772b-771b\n.byte 775f-774f\n.popsection\n.pushsection .altinstr_replacement,\"ax\"\n774: " new "\n775:\n.popsection":::"memory")
#ifdef NOFENTRY
__attribute__((no_instrument_function))
#endif
void f(int x){ ALT(".byte 0x0f,0x1f,0x44,0,0",""); rare(x); ALT(".byte 0x0f,0x1f,0x44,0,0",""); }
void g(int x){ ALT(".byte 0x0f,0x1f,0x44,0,0",R); rare(x+1); ALT(".byte 0x0f,0x1f,0x44,0,0",R); }
