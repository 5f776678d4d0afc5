// A new init call would never be called.

static int setup(void)
{
	return 0;
}

#ifdef PATCHED
static int (*const call)(void) __attribute__((used, section(".initcall6.init"))) = setup;
#endif

int f(int x)
{
	return x + setup();
}
