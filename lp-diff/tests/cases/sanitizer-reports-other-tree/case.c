// The sanitizer says the path that the compiler was given, and the two trees have two.
//#Flags: -fsanitize=undefined

#ifdef PATCHED
#line 6 "/patched/mm/case.c"
#else
#line 6 "/orig/mm/case.c"
#endif
int shift(int x, int y)
{
	return x << y;
}

long scale(long x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
