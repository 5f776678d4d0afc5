// A weak function that another file overrides does not run: its change is left out, with a note.
//#Overridden: f

__attribute__((weak)) int f(int x)
{
#ifdef PATCHED
	return x + 20;
#else
	return x + 2;
#endif
}
