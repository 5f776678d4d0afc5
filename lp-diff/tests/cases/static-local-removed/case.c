// A static local that nobody uses any more stays behind, unused.
//#State: fresh
//#Run: f(1)

int f(int x)
{
#ifdef PATCHED
	return x + 1;
#else
	static int calls = 20;

	return x + calls++;
#endif
}
