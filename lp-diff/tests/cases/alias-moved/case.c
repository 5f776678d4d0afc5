// A second name that becomes one of another function leads callers elsewhere, and no code tells: refused.

int one(int x)
{
	return x + 1;
}

int two(int x)
{
	return x + 2;
}

#ifdef PATCHED
int name(int x) __attribute__((alias("two")));
#else
int name(int x) __attribute__((alias("one")));
#endif
