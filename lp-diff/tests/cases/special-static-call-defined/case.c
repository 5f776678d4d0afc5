// A static call that the file defines stays the running system's; a new one comes along with key and trampoline.

extern int first(int);
struct key { void *func; void *mods; };
#define DEFINE(name, target) \
	struct key __SCK__##name = { target }; \
	asm(".pushsection .static_call.text,\"ax\"\n.align 4\n.globl __SCT__" #name "\n__SCT__" #name ":\n" \
	    "jmp first\n ud1 %esp,%ecx\n.type __SCT__" #name ",@function\n.size __SCT__" #name ",.-__SCT__" #name "\n.popsection")
#define CALL(name) ({ extern int __SCT__##name(int); \
	asm volatile("1: call __SCT__" #name "\n.pushsection .static_call_sites,\"aw\"\n.balign 4\n.long 1b-., __SCK__" #name "-.\n.popsection"); })
DEFINE(old, first);
#ifdef PATCHED
DEFINE(fresh, first);
#endif
void f(int x)
{
	CALL(old);
#ifdef PATCHED
	CALL(fresh);
#endif
}
