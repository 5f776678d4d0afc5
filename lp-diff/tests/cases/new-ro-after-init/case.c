// New data that is read-only after start is so in the patch, too, once that is loaded.

#define __ro_after_init __attribute__((section(".data..ro_after_init")))

#ifdef PATCHED
int limit __ro_after_init = 30;
#endif

int f(int x)
{
#ifdef PATCHED
	return x + limit;
#else
	return x;
#endif
}
