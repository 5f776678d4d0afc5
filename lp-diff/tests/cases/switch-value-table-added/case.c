// A new table of the compiler's renumbers the others, which stay the same.

#ifdef PATCHED
int added(int x)
{
	switch (x) {
	case 0: return 70;
	case 1: return 420;
	case 2: return -330;
	case 3: return 9990;
	case 4: return 12340;
	case 5: return 880;
	default: return 10;
	}
}
#endif

int f(int x)
{
	switch (x) {
	case 0: return 17;
	case 1: return 4242;
	case 2: return -3;
	case 3: return 99;
	case 4: return 123457;
	case 5: return 8;
	default: return 0;
	}
}
