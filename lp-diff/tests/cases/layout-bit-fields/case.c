// Bit-fields are compared by their bits: one that is added moves the one after it.
//#WithoutDebug: differs

struct flags {
	unsigned int on : 1;
#ifdef PATCHED
	unsigned int fresh : 2;
#endif
	unsigned int kind : 5;
};

unsigned int kind(struct flags *flags)
{
	return flags->kind;
}
