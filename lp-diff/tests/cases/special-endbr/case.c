// The site comes after endbr64.
//#Flags: -fcf-protection=branch

int f(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
