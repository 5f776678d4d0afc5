// Old compilers count a bit-field's bits from the other end of its storage unit.
//#Compiler: gcc
//#WithoutDebug: differs
//#GccFlags: -gdwarf-2 -gstrict-dwarf

struct flags {
	unsigned int on : 1;
#ifdef PATCHED
	unsigned int fresh : 2;
#endif
	unsigned int kind : 5;
	int same;
};

unsigned int kind(struct flags *flags)
{
	return flags->kind + flags->same;
}
