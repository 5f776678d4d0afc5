// Lock prefixes are found again in the patch: the list's places of changed functions come along, the rest does not.

extern void rare(int);
#define LOCK(p) asm volatile(".pushsection .smp_locks,\"a\"\n.balign 4\n.long 671f-.\n.popsection\n671: lock; incl %0" : "+m"(*(p)))
void f(int *p) { LOCK(p); rare(*p); }
void g(int *p)
{
	LOCK(p);
#ifdef PATCHED
	LOCK(p);
#endif
	rare(1);
}
