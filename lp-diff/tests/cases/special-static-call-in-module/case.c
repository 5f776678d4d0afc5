// A static call whose key a module has goes through its trampoline in the patch: the entry is left out.
//#Object: m
//#Symvers: rare vmlinux

extern int __SCK__foo, __SCT__foo(int);
extern void rare(int);
void f(int x)
{
	asm volatile("771: call __SCT__foo\n"
		     ".pushsection .static_call_sites,\"aw\"\n"
		     ".balign 4\n.long 771b-.\n.long __SCK__foo-.\n.popsection");
#ifdef PATCHED
	rare(x);
#endif
}
int __SCK__bar;
