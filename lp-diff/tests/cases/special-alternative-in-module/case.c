// A replacement that calls into a module would be copied into place before its call is filled in: refused.
//#Object: m
//#Symvers: rare vmlinux

extern void rare(int);
void in_module(int x) { rare(x + 7); }
void f(int x)
{
	asm volatile("771: .byte 0x0f,0x1f,0x44,0,0\n.pushsection .altinstructions,\"a\"\n.long 771b-.\n.long 774f-.\n.4byte 3\n.byte 5, 5\n.popsection\n.pushsection .altinstr_replacement,\"ax\"\n774: call in_module\n.popsection");
#ifdef PATCHED
	rare(x);
#endif
}
