// A variable of the file is state, whatever macros call their own.
//#Known: clang-19 wrong because a field of a struct of the file, split off by clang, is taken for a static local
//#Known: clang-14 wrong because a field of a struct of the file, split off by clang, is taken for a static local

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
