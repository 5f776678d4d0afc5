// Another alignment of a function is not another function.

extern int outside(int);

#ifdef PATCHED
__attribute__((aligned(64)))
#endif
int f(int x)
{
	return outside(x);
}
