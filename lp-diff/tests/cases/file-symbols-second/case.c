// A change in the second file of an object reaches that file's variable.
//#Link: other.c
//#Run: f(1); other(1); f(1)

static int state = 4;

int f(int x)
{
	return state += x;
}
