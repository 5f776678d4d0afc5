// A datum that becomes writable is read-only in the running system: refused.

#ifdef PATCHED
#define __ro
#else
#define __ro __attribute__((section(".data..ro_after_init")))
#endif
static int mode __ro = 3;
int get(void){ return mode;}
void setm(int x){ 
#ifdef PATCHED
 if(x<0) return;
#endif
 mode=x; }
