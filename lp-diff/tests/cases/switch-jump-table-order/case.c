// Two cases that change places leave the code alone and change the table.
//#Flags: -fjump-tables
//#Run: f(0); f(3); f(4); f(9)

extern int outside(int);

#ifdef PATCHED
#define ONE 4
#define OTHER 3
#else
#define ONE 3
#define OTHER 4
#endif

int f(int x)
{
	switch (x) {
	case 0: return outside(1);
	case 1: return outside(x) + 7;
	case 2: return outside(2) * 3;
	case ONE: return outside(5) - 4;
	case OTHER: return outside(6) ^ 5;
	case 5: return outside(7) | 64;
	default: return -1;
	}
}
