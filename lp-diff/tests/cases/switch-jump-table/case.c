// A changed case takes its function's jump table along; other tables stay what they are.
//#Flags: -fjump-tables
//#Run: f(0); f(3); f(9); g(4)

extern int outside(int);

int f(int x)
{
	switch (x) {
	case 0: return outside(1);
	case 1: return outside(x) + 7;
	case 2: return outside(2) * 3;
#ifdef PATCHED
	case 3: return outside(5) - 100;
#else
	case 3: return outside(5) - 4;
#endif
	case 4: return outside(6) ^ 5;
	case 5: return outside(7) | 64;
	default: return -1;
	}
}

int g(int x)
{
	switch (x) {
	case 0: return outside(1);
	case 1: return outside(x) + 9;
	case 2: return outside(2) * 5;
	case 3: return outside(5) - 6;
	case 4: return outside(6) ^ 7;
	case 5: return outside(7) | 128;
	default: return -2;
	}
}
