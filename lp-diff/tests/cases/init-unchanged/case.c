// A changed function does not make the init code of its file a change.
//#Run: f(1)

__attribute__((section(".init.text"), used)) static int setup(int x)
{
	return x * 4;
}

int f(int x)
{
#ifdef PATCHED
	return x + 20;
#else
	return x + 2;
#endif
}
