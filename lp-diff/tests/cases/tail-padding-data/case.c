// A datum added behind another one in a shared section does not make the other longer.
//#Run: f(1); f(2); f(1)
//#State: fresh

#define __read_mostly __attribute__((section(".data..read_mostly")))
#ifdef PATCHED
static unsigned long added __read_mostly = 3;
#endif
static int first __read_mostly = 1;
#ifdef PATCHED
static unsigned long added2 __read_mostly = 4;
#endif
int f(int x){
#ifdef PATCHED
 first += added+added2; added++; added2++;
#endif
 return x+first; }
void set(int x){ first=x; }
