// A number that is the line of its call before and after, while the code around it stayed, is a change.

extern int wait(int much);
extern int other(int);

int f(int x)
{
	x += other(x);
#ifdef PATCHED
#line 19
	return wait(19) + x;
#else
#line 15
	return wait(15) + x;
#endif
}
