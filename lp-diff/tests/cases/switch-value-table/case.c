// A table that the compiler makes of a switch's values is known by its content.
//#Run: f(1); f(4); g(2)

int f(int x)
{
	switch (x) {
	case 0: return 17;
	case 1: return 4242;
	case 2: return -3;
	case 3: return 99;
#ifdef PATCHED
	case 4: return 123456;
#else
	case 4: return 123457;
#endif
	case 5: return 8;
	default: return 0;
	}
}

int g(int x)
{
	switch (x) {
	case 0: return 7;
	case 1: return 42;
	case 2: return -33;
	case 3: return 999;
	case 4: return 1234;
	case 5: return 88;
	default: return 1;
	}
}
