// A new static function comes along with the function that calls it.
//#Run: f(3)

extern int outside(int);

#ifdef PATCHED
static __attribute__((noinline)) int helper(int x)
{
	return outside(x) + 1;
}
#endif

int f(int x)
{
#ifdef PATCHED
	return helper(x);
#else
	return outside(x);
#endif
}
