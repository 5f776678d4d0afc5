// What another module exports is refused where nothing makes sure that this module is there.
//#Object: nf_tables
//#Symvers: nf_hook nf_core

extern int nf_hook(int);

int f(int x)
{
#ifdef PATCHED
	return nf_hook(x);
#else
	return x;
#endif
}
