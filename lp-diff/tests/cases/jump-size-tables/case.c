// Jump tables and entries of special sections find their places in a function whose jumps got longer.
//#Compiler: gcc
//#Flags: -fno-toplevel-reorder
//#Flags: -fjump-tables
#define __sched __attribute__((section(".sched.text"), noinline))

struct key { long enabled; long entries; };
struct key k;
extern int one(int), two(int), three(int), four(int), five(int);
static int middle(int x);
static int last(int x);

int __sched f(int x)
{
	asm goto("1: .byte 0x0f,0x1f,0x44,0,0\n\t"
		 ".pushsection __jump_table, \"aw\"\n\t"
		 ".balign 8\n\t.long 1b - ., %l[yes] - .\n\t.quad %c0 - .\n\t.popsection"
		 : : "i" (&k) : : yes);
	switch (x) {
	case 0: return one(x);
	case 1: return last(x);
	case 2: return middle(x);
	case 3: return two(x);
	case 4: return three(x);
	case 5: return four(x);
	}
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
