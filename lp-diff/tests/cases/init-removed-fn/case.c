// A function that is no init code any more is a new one: the old is freed.

#ifdef PATCHED
#define __init
#else
#define __init __attribute__((section(".init.text")))
#endif
extern void reg(int);
static __attribute__((noinline)) void __init setup(int x){ reg(x); reg(x+1); }
void f(int x){ setup(x); reg(2);
#ifdef PATCHED
 reg(3);
#endif
}
