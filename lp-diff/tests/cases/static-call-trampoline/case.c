// Where objtool has yet to list static calls, that of an exported trampoline goes by a name that objtool leaves alone.
//#Symvers: __SCT__tp_func_x vmlinux
//#Symvers: __SCK__tp_func_x vmlinux
//#Symvers: slow vmlinux

extern void __SCT__tp_func_x(void *, int);
extern struct { void *func; long mods; } __SCK__tp_func_x;
extern int slow(int);

int f(int x)
{
	static void *__attribute__((used, section(".discard.addressable"))) key = &__SCK__tp_func_x;

	__SCT__tp_func_x(0, x);
#ifdef PATCHED
	return slow(x) + 3;
#else
	return slow(x) + 5;
#endif
}
