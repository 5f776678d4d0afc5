// New data that may refer to start-up code is data like any other.

extern int slow(void *);
#ifdef PATCHED
struct block { void *call; int priority; };
__attribute__((section(".ref.data"))) struct block block = { slow, 1 };
#endif
int foo(int x)
{
#ifdef PATCHED
	return slow(&block) + x;
#endif
	return x;
}
