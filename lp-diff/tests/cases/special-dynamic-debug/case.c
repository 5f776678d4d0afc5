// A dynamic debug message of a module brings its own descriptor, and with it the key.
//#Object: m
//#Symvers: rare vmlinux

struct ddebug { const char *modname, *function, *filename, *format; unsigned line; long key[2]; };
extern void rare(const void *);
#define DEBUG(text, number) ({ static struct ddebug __UNIQUE_ID_ddebug0 __attribute__((used, aligned(8), section("__dyndbg"))) = \
	{ "m", "f", "m.c", text, number }; \
	asm goto("1: .byte 0x0f,0x1f,0x44,0,0\n\t" \
		 ".pushsection __jump_table, \"aw\"\n\t" \
		 ".balign 8\n\t.long 1b - ., %l[yes] - .\n\t.quad %c0 + 40 - .\n\t.popsection" \
		 : : "i" (&__UNIQUE_ID_ddebug0) : : yes); \
	return 0; \
yes: \
	rare(&__UNIQUE_ID_ddebug0); })
#ifdef PATCHED
int f(int x) { DEBUG("same", 15); return 1; }
int g(int x) { DEBUG("other", 20); return 2; }
#else
int f(int x) { DEBUG("same", 5); return 1; }
int g(int x) { DEBUG("this", 10); return 2; }
#endif
