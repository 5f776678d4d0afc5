// A new static local begins with its own value when the patch is loaded.
//#Run: f(1); f(1)
//#State: fresh

int f(int x)
{
#ifdef PATCHED
	static int calls = 20;

	return x + calls++;
#else
	return x;
#endif
}
