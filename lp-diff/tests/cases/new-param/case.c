// A list that the kernel reads as it starts cannot be added to.

struct kp { const char*n; void*p; };
extern void reg(int);
static int knob=3;
#ifdef PATCHED
static struct kp const __param_knob __attribute__((used,section("__param"),aligned(8)))={"knob",&knob};
#endif
void set(int x){knob=x;}
void f(int x){ reg(knob);
#ifdef PATCHED
 reg(x);
#endif
}
