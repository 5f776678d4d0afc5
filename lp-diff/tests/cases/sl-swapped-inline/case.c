// Static locals of one name from two inlined functions, whose order changed: the debug information tells.
//#WithoutDebug: differs

static inline int a(void){ static int state; return state++; }
static inline int b(void){ static int state; return state+=5; }
int f(int x){
#ifdef PATCHED
 int r=b(); asm volatile("":::"memory"); return r+a()*3;
#else
 int r=a(); asm volatile("":::"memory"); return r*3+b();
#endif
}
