// What the kernel exports is an ordinary reference.
//#Symvers: kmalloc_noprof vmlinux

extern void *kmalloc_noprof(unsigned long);

void *f(unsigned long size)
{
#ifdef PATCHED
	return kmalloc_noprof(size + 1);
#else
	return kmalloc_noprof(size);
#endif
}
