// A changed constant table that only this object sees is carried as a copy, with its users.
//#Run: f(3)

static const unsigned char step[4] = {
#ifdef PATCHED
	1, 2, 3, 5
#else
	1, 2, 3, 4
#endif
};

int f(int x)
{
	return step[x & 3];
}

int g(int x)
{
	return x;
}
