// Zeros that take bytes and zeros that take none are the same initial value.
//#Run: void set(-9); f(3); f(-3)

#ifdef PATCHED
__attribute__((section(".data..read_mostly")))
#endif
static int mode;
void set(int x){mode=x;}
int f(int x){
#ifdef PATCHED
 if(x<0) return 0;
#endif
 return mode+x;}
