// What the sanitizer says about a place moves with the source line, and is state of nobody.
//#Flags: -fsanitize=undefined

int table[8];
extern void use(int);

int g(int x)
{
#ifdef PATCHED
	use(x);

#endif
	return table[x] * 3;
}

#ifdef PATCHED
#line 100
#endif
int f(int x, int y)
{
	use(y);
	return table[x] + (x << y);
}
