// A new tracepoint would be in lists that the kernel has read: refused.

struct tracepoint { const char *name; long key[2]; };
extern void rare(int);
#ifdef PATCHED
struct tracepoint __tracepoint_x __attribute__((section("__tracepoints"))) = { "x" };
static struct tracepoint *__tracepoint_ptr_x __attribute__((used, section("__tracepoints_ptrs"))) = &__tracepoint_x;
#endif
void f(int x)
{
#ifdef PATCHED
	rare(__tracepoint_x.key[0]);
#endif
	rare(x);
}
