// A function that becomes a second name of another one would go on as it is for other files: refused.

int one(int x)
{
	return x + 1;
}

#ifdef PATCHED
int name(int x) __attribute__((alias("one")));
#else
int name(int x)
{
	return x + 2;
}
#endif
