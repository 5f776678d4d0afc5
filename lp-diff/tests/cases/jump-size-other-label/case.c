// A function whose jumps got longer and whose jump label leads elsewhere is changed.
//#Compiler: gcc
//#Flags: -fno-toplevel-reorder
#define __sched __attribute__((section(".sched.text"), noinline))

#ifdef PATCHED
#define LABEL no
#define OTHER yes
#else
#define LABEL yes
#define OTHER no
#endif
struct key { long enabled; long entries; };
struct key k;
extern int one(int), five(int);
static int middle(int x);
static int last(int x);

int __sched f(int x)
{
	asm goto("1: .byte 0x0f,0x1f,0x44,0,0\n\t"
		 ".pushsection __jump_table, \"aw\"\n\t"
		 ".balign 8\n\t.long 1b - ., %l1 - .\n\t.quad %c0 - .\n\t.popsection"
		 : : "i" (&k) : : LABEL, OTHER);
	if (x == 1)
		return last(x);
no:
	return one(x);
yes:
	return five(x);
}

static int __sched middle(int x)
{
#ifdef PATCHED
	for (int i = 0; i < 10; i++)
		x = x * 7 + (x >> 3) * (x ^ 0x1234567) + (x & 0x7654321) - (x | 0x1111111) + (x << 5) / 11 + (x % 13);
#endif
	return x + 1;
}

static int __sched last(int x)
{
	return x * 3;
}
