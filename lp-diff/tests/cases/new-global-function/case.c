// A new global function is carried although this object does not call it: another may.

int f(int x)
{
	return x;
}

#ifdef PATCHED
int shared_helper(int x)
{
	return x + 1;
}
#endif
