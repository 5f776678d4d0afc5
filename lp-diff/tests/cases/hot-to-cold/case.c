// A function that moves between .text, .text.hot and .text.unlikely without another instruction is the same.

extern int outside(int);

#ifdef PATCHED
__attribute__((section(".text.unlikely")))
#endif
int f(int x)
{
	return outside(x);
}

int g(int x)
{
#ifdef PATCHED
	return x + 2;
#else
	return x + 1;
#endif
}
