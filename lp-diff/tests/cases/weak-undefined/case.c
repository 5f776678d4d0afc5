// A reference to what may be missing stays such a reference.
//#Symvers: maybe vmlinux

extern int maybe(int) __attribute__((weak));

int f(int x)
{
#ifdef PATCHED
	return maybe ? maybe(x) + 1 : x;
#else
	return maybe ? maybe(x) : x;
#endif
}
