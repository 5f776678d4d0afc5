// What another module exports is reached in that one, where the original depends on it already.
//#Object: nf_tables
//#Symvers: nf_hook nf_core
//#Symvers: nf_unhook nf_core

extern int nf_hook(int);
extern int nf_unhook(int);

int f(int x)
{
#ifdef PATCHED
	return nf_hook(x) + nf_unhook(x);
#else
	return nf_hook(x);
#endif
}
