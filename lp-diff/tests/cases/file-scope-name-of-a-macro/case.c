// A variable of the file is state, whatever macros call their own.

struct state { int count; };
static struct state _rs, descriptor;

int f(int x)
{
#ifdef PATCHED
	descriptor.count += 2;
#endif
	_rs.count += x;
	return descriptor.count++;
}
