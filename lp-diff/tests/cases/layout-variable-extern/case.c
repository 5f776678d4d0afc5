// A variable that another file defines holds what its old type says, too; clang writes nothing of it.
//#Compiler: gcc
//#WithoutDebug: differs

struct one { int x, y; };
struct two { long key; int x, y; };
extern int slow(int);

#ifdef PATCHED
extern struct two *other;
extern long counts[];
#else
extern struct one *other;
extern long counts[4];
#endif

int f(int i)
{
	return slow(other->y) + counts[i];
}
