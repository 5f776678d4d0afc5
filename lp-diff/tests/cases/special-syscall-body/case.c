// The body of a system call is notrace where it is not inlined; the entries that use it have sites and take a copy.

struct regs { long di, si; };
extern long slow(long);
static __attribute__((no_instrument_function, noinline)) long __do_sys_foo(long x)
{
#ifdef PATCHED
	if (x < 0)
		return -22;
#endif
	return slow(x) + 1;
}
long __x64_sys_foo(const struct regs *regs) { return __do_sys_foo(regs->di); }
long __ia32_sys_foo(const struct regs *regs) { return __do_sys_foo((int)regs->si); }
