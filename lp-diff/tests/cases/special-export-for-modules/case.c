// What is exported to modules of certain names alone is not exported to a patch.
//#Symvers: helper vmlinux module:kvm,kvm-intel
//#Symvers: helper2 vmlinux CXL
//#Symbols: ffffffff81000000 T helper
//#Symbols: ffffffff81000010 T helper2
//#Symbols: ffffffff81000020 T f

extern int helper(int), helper2(int);
int f(int x)
{
#ifdef PATCHED
	return helper(x) + helper2(x) + 1;
#else
	return helper(x) + helper2(x);
#endif
}
