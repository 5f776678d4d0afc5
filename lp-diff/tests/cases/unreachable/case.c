// What follows a point that is never reached belongs to nobody.
//#Run: f(1)

extern int outside(int);

int f(int x)
{
	switch (x & 3) {
	case 0: return outside(1);
#ifdef PATCHED
	case 1: return outside(2) + 30;
#else
	case 1: return outside(2) + 3;
#endif
	default: __builtin_unreachable();
	}
}
