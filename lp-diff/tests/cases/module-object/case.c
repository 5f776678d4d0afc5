// What a module defines is reached in that module, what the kernel exports in the kernel.
//#Object: nf_tables
//#Symvers: kfree vmlinux

extern void kfree(void *);

static int count;

void track(int x)
{
	count = x;
}

int f(void *p)
{
	kfree(p);
#ifdef PATCHED
	return count + 1;
#else
	return count;
#endif
}
