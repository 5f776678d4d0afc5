// A struct that a function declares for itself is its own, and another's of the same name is none of it.
//#WithoutDebug: differs

extern void take(void *data);

int f(int x)
{
	struct args {
		int x;
#ifdef PATCHED
		int y;
#endif
	} args = { x };

	take(&args);
	return args.x;
}

int g(int x)
{
	struct args {
		long x;
	} args = { x };

	take(&args);
#ifdef PATCHED
	return args.x + 1;
#else
	return args.x;
#endif
}
