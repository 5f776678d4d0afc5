// A weak function that nobody overrides is the target's like any other.
//#Run: f(1)

__attribute__((weak)) int f(int x)
{
#ifdef PATCHED
	return x + 20;
#else
	return x + 2;
#endif
}
