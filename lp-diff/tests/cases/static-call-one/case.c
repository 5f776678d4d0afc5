// One static call site is one entry: each has two relocations, so it is never halved.

extern int __SCK__foo, __SCT__foo(int);
extern void rare(int);
void f(int x){
 asm volatile("771: call __SCT__foo\n.pushsection .static_call_sites,\"aw\"\n.long 771b-.\n.long __SCK__foo-.\n.popsection");
#ifdef PATCHED
 rare(x);
#endif
}
