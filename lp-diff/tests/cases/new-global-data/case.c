// A new global datum is carried although this object does not use it: another may.

int f(int x)
{
	return x;
}

#ifdef PATCHED
int shared_limit = 5;
#endif
