// Two functions with equal code whose jump labels have different keys differ.

struct key { long enabled; long entries; };
struct key a, b;

#define BRANCH(key) asm goto("1: nop\n\t" \
	".pushsection __jump_table, \"aw\"\n\t" \
	".balign 8\n\t.long 1b - ., %l[yes] - .\n\t.quad %c0 - .\n\t.popsection" \
	: : "i" (&key) : : yes)

int f(void)
{
#ifdef PATCHED
	BRANCH(b);
#else
	BRANCH(a);
#endif
	return 0;
yes:
	return 1;
}

int g(void)
{
	BRANCH(a);
	return 0;
yes:
	return 1;
}
