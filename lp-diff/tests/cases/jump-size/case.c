// A function whose jump to a neighbour gets longer because what stands between them grew is the same.
//#GccFlags: -fno-toplevel-reorder
//#Run: f(1); f(9); f(4)

#define __sched __attribute__((section(".sched.text"), noinline))

static int middle(int x);
static int last(int x);

int __sched f(int x)
{
	if (x > 3)
		return middle(x + 1);
	return last(x * 5);
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
