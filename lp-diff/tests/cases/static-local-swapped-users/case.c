// A static local taken out of one function and another of its name put into a second are two variables.
//#WithoutDebug: differs
//#Run: f(); g(); g()
//#State: fresh

int f(void)
{
#ifdef PATCHED
	return 1;
#else
	static int count = 7;
	return count++;
#endif
}

int g(void)
{
#ifdef PATCHED
	static int count = 7;
	return count++;
#else
	return 2;
#endif
}
