// What the patched source takes out of a list that was read at start goes on to be there; init calls have run.

struct entry { int (*fn)(int); };
extern int slow(int);

static int callback(int x)
{
	return slow(x) + 1;
}

static int start(void)
{
	return slow(3);
}

#define ENTRY __attribute__((used, section("_entries")))
#define INITCALL __attribute__((used, section(".initcall6.init")))

ENTRY static struct entry one = { callback };
#ifndef PATCHED
ENTRY static struct entry two = { callback };
INITCALL static int (*started)(void) = start;
#else
__attribute__((used)) static int (*volatile kept)(void) = start;
#endif

int f(int x)
{
#ifdef PATCHED
	return slow(x) + 3;
#else
	return slow(x) + 4;
#endif
}
