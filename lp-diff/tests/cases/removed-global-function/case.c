// A global function that is gone changes nobody else.

int f(int x)
{
	return x;
}

#ifndef PATCHED
int g(int x)
{
	return x + 1;
}
#endif
