// Data of the target's processors is reached through the target's own symbol.
//#GccFlags: -mno-sse

#define __percpu __attribute__((section(".data..percpu")))

static int hits __percpu;
int others __percpu;

int f(int x)
{
	asm volatile("incl %%gs:%0" : "+m" (hits));
#ifdef PATCHED
	asm volatile("addl $2, %%gs:%0" : "+m" (others));
#else
	asm volatile("addl $1, %%gs:%0" : "+m" (others));
#endif
	return x;
}
