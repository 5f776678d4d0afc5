// A datum that becomes per-cpu is not per-cpu in the running system: refused.

#ifdef PATCHED
__attribute__((section(".data..percpu")))
#endif
static int hits=1;
void f(void){
#ifdef PATCHED
 asm("addl $1,%%gs:%0":"+m"(hits));
#else
 asm("addl $1,%0":"+m"(hits));
#endif
}
