// A variable that must be aligned better than the running system's is refused: the code counts on it.

#ifdef PATCHED
__attribute__((aligned(64)))
#endif
int buffer[16];

void *f(int x)
{
	return (char *)buffer + x;
}
