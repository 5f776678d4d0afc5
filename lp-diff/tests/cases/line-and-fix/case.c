// A line number that moved does not hide a changed constant of the same function.

extern void check(const char *file, int line);
extern void wait(int ms);

#ifdef PATCHED
#define TIMEOUT 5000

#else
#define TIMEOUT 500
#endif

void f(void)
{
	check("mm/slub.c", __LINE__);
	wait(TIMEOUT);
}
