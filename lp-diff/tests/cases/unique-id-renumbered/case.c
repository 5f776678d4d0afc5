// A variable whose unique name has another number is the same one.
//#Run: f(1); f(2)

#ifdef PATCHED
#define state __UNIQUE_ID_state9
#else
#define state __UNIQUE_ID_state7
#endif
static int state;

int f(int x)
{
#ifdef PATCHED
	return 100 + (state += x);
#else
	return state += x;
#endif
}
