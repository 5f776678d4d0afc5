// What is listed for tools that inject faults or probe by hand is left out: nothing that runs depends on it.

extern long slow(long);
long foo(long x)
{
#ifdef PATCHED
	if (x < 0)
		return -22;
#endif
	return slow(x) + 1;
}
#ifdef PATCHED
static void *_eil_addr_foo __attribute__((used, section("_error_injection_whitelist"))) = foo;
static unsigned long _kbl_addr_foo __attribute__((used, section("_kprobe_blacklist"))) = (unsigned long)foo;
#endif
