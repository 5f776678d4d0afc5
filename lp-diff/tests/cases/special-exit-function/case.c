// Exit code runs as its module goes: refused.

__attribute__((section(".exit.text"))) int leave(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
