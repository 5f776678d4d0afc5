// New data of a kind comes along in a section of that kind.
//#Run: f(2)
//#State: fresh

#define __read_mostly __attribute__((section(".data..read_mostly")))

#ifdef PATCHED
int limit __read_mostly = 30;
#endif

int f(int x)
{
#ifdef PATCHED
	return x + limit;
#else
	return x;
#endif
}
