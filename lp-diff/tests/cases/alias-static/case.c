// A static function with a global alias is known by the alias.
//#Run: syscall_f(1)

static int do_f(int x)
{
	asm volatile("" : "+r"(x));
#ifdef PATCHED
	return x + 20;
#else
	return x + 2;
#endif
}

int syscall_f(int x) __attribute__((alias("do_f")));
