static int state = 70;

int other(int x)
{
	return state += x;
}
