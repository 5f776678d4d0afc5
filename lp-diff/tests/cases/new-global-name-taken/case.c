// A new global function under a name that the target has elsewhere is refused.
//#Symbols: ffffffff81000000 T helper
//#Symbols: ffffffff81000100 T f

#ifdef PATCHED
int helper(int x)
{
	return x * 3;
}
#endif

int f(int x)
{
	return x;
}
