// A system call without a site at all is refused.

struct regs { long di, si; };
extern long slow(long);
__attribute__((no_instrument_function)) long __x64_sys_foo(const struct regs *regs)
{
#ifdef PATCHED
	if (regs->di < 0)
		return -22;
#endif
	return slow(regs->di) + 1;
}
