// The sanitizer says the path that the compiler was given, and the two trees have two.
//#Flags: -fsanitize=undefined

#ifdef PATCHED
#line 6 "/somewhere/else/patched/mm/case.c"
#else
#line 6 "/work/orig/mm/case.c"
#endif
int table[8];
extern void use(int);

int g(int x)
{
#ifdef PATCHED
	use(x);

#endif
	return table[x] * 3;
}

int f(int x, int y)
{
	use(y);
	return table[x] + (x << y);
}
