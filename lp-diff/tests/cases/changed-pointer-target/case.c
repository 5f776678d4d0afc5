// Data that point elsewhere are changed data.

int first, second;
int *chosen =
#ifdef PATCHED
	&second;
#else
	&first;
#endif

int f(void)
{
	return *chosen;
}
