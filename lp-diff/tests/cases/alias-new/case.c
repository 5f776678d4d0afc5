// A second name for a function that did not change is nothing that a patch could hold.

int f(int x)
{
	return x + 2;
}

#ifdef PATCHED
int same_as_f(int x) __attribute__((alias("f")));
#endif
