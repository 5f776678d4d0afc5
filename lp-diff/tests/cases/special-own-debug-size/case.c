// Where relocations leave two sizes open, the object's own debug information knows.
//#WithoutDebug: differs

struct bug_entry { int address; int pad[2]; int second; };
struct bug_entry *last_bug;
extern void rare(int);
#define BUG(rest) asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b-.\n" rest "\n.org 2b+16\n.popsection")
void f(int x)
{
	BUG(".long 0\n.long 1b-.");
	BUG(".long 1b-.\n.long 1b-.");
#ifdef PATCHED
	rare(x);
#endif
}
