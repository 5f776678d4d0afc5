// A static local goes by who uses it: the new one before it takes its number, not its value.
//#Run: f()

#ifdef PATCHED
int new_one(void)
{
	static int count = 7;
	return count++;
}
#endif

int f(void)
{
	static int count = 7;
#ifdef PATCHED
	return 100 + count++;
#else
	return count++;
#endif
}
