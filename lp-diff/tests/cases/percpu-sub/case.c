// New per-cpu data goes to the one section in which the module loader looks for it.

#ifdef PATCHED
static __attribute__((section(".data..percpu..read_mostly"))) int cnt=0;
static __attribute__((section(".data..percpu..shared_aligned"))) int cnt2=0;
#endif
extern void rare(int);
void f(int x){
#ifdef PATCHED
 asm("addl $1,%%gs:%0":"+m"(cnt));
 asm("addl $1,%%gs:%0":"+m"(cnt2));
#endif
 rare(x); }
