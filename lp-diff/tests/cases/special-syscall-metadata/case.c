// What tracing lists of a system call may go; what runs is what counts.

struct meta { const char *name; int nr; };
extern long slow(long);
#ifndef PATCHED
static struct meta __syscall_meta_foo = { "sys_foo", -1 };
static struct meta *__p_syscall_meta_foo __attribute__((used, section("__syscalls_metadata"))) = &__syscall_meta_foo;
static struct meta *__event_enter_foo __attribute__((used, section("_ftrace_events"))) = &__syscall_meta_foo;
#endif
long sys_foo(long x)
{
#ifdef PATCHED
	if (x < 0)
		return -22;
#endif
	return slow(x) + 1;
}
