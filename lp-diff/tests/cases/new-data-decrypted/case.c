// Memory that is shared with the host of a confidential guest cannot come with a module.

static __attribute__((section(".bss..decrypted"))) int known;
#ifdef PATCHED
static __attribute__((section(".bss..decrypted"))) int fresh;
#endif
extern void rare(void *);
void f(void) {
 rare(&known);
#ifdef PATCHED
 rare(&fresh);
#endif
}
