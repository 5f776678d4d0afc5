// The state of a rate limit belongs to its use: the patched function has its own.
//#Run: f(5)

struct ratelimit { int interval, burst, missed; };
extern int limited(struct ratelimit *);

int f(int x)
{
	static struct ratelimit _rs = { 5, 10, 0 };
#ifdef PATCHED
	x += 1;
#endif
	return limited(&_rs) ? x : 0;
}

int g(int x)
{
	static struct ratelimit _rs = { 5, 20, 0 };
	return limited(&_rs) ? x : 0;
}
