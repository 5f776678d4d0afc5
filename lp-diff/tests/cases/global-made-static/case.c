// A function or variable that becomes static, or is static no longer, is still the same one.

#ifdef PATCHED
#define WAS_GLOBAL static
#define WAS_STATIC
#else
#define WAS_GLOBAL
#define WAS_STATIC static
#endif

extern void use(int *);

WAS_GLOBAL int once_global = 3;
WAS_STATIC int once_static = 4;

WAS_GLOBAL __attribute__((noinline, used)) int helper_once_global(int x)
{
	use(&once_global);
	return x + 1;
}

WAS_STATIC __attribute__((noinline, used)) int helper_once_static(int x)
{
	use(&once_static);
	return x + 2;
}

int f(int x)
{
#ifdef PATCHED
	x *= 5;
#endif
	return helper_once_global(x) + helper_once_static(x);
}
