// The flag and the key of DO_ONCE guard an initialisation that must not be done again: they stay the target's.

extern int start(_Bool *, unsigned long *);
extern void done(_Bool *, int *);
extern void warn(void);

int f(int *secret)
{
	static _Bool __attribute__((section(".data..once"))) ___done = 0;
	static int ___once_key = 1;
	static _Bool __attribute__((section(".data..once"))) __already_done;
	unsigned long flags;

#ifdef PATCHED
	if (!secret)
		return -22;
#endif
	if (___once_key && start(&___done, &flags)) {
		*secret = 4;
		done(&___done, &___once_key);
	}
	if (*secret < 0 && !__already_done) {
		__already_done = 1;
		warn();
	}
	return *secret;
}
