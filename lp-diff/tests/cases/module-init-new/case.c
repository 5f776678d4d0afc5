// A running module has started already: an init function that a new part of it brings would never run.
//#Object: nf_tables

int f(int x)
{
	return x;
}

#ifdef PATCHED
static int __attribute__((section(".init.text"), used)) setup(void)
{
	return f(1);
}
int init_module(void) __attribute__((alias("setup")));
#endif
