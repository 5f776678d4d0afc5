// Enums of functions can have the same names with other values: none of them changed.

int f(int x)
{
	enum { START, MIDDLE, END } state = x ? START : END;

	return state + x;
}

int g(int x)
{
	enum { END, START } state = x ? START : END;

#ifdef PATCHED
	x++;
#endif
	return state * x;
}
