// Room for patching before a function belongs to it, also where functions share a section.
//#Compiler: gcc
//#Flags: -fpatchable-function-entry=16,16 -fno-toplevel-reorder

extern void rare(int);
#define sched __attribute__((section(".sched.text"), noinline, aligned(16)))
sched void f(int x) { rare(x); rare(x + 1); }
sched void g(int x)
{
#ifdef PATCHED
	rare(x + 9);
#endif
	rare(x + 2);
}
sched void h(int x) { rare(x + 3); }
