// The address of a changed function is that of the original: it may outlive the patch.
//#Run: void f()

extern void keep(int (*)(int));

static __attribute__((noinline)) int callback(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}

void f(void)
{
	keep(callback);
#ifdef PATCHED
	keep(0);
#endif
}
