// Data that share a section by attribute stay apart: a new one does not move the others.

#define __read_mostly __attribute__((section(".data..read_mostly")))

#ifdef PATCHED
static int added __read_mostly = 3;
#endif
static int first __read_mostly = 1;
static int second __read_mostly = 2;

int f(int x)
{
#ifdef PATCHED
	first += added;
#endif
	return x + first + second;
}

void set(int x)
{
	first = x;
	second = x;
}
