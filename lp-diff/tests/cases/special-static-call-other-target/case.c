// Another first target of a static call that exists cannot be had by a patch: refused.

extern int first(int), second(int);
#ifdef PATCHED
#define TARGET second
#else
#define TARGET first
#endif
#define STR(x) #x
#define JUMP(x) "jmp " STR(x) "\n"
struct key { void *func; void *mods; } __SCK__old = { TARGET };
asm(".pushsection .static_call.text,\"ax\"\n.align 4\n.globl __SCT__old\n__SCT__old:\n"
    JUMP(TARGET) " ud1 %esp,%ecx\n.type __SCT__old,@function\n.size __SCT__old,.-__SCT__old\n.popsection");
