// The author may say that nothing of the old type lives on in a variable.
//#AllowLayoutChange: first
//#AllowLayoutChange: numbers

struct one { int x, y; };
struct two { long key; int x, y; };
extern int slow(int);

#ifdef PATCHED
typedef struct two item;
#else
typedef struct one item;
#endif

static item *first;
#ifdef PATCHED
static short numbers[4];
#else
static int numbers[2];
#endif
static int flags;

void set(void *list, int x)
{
	first = list;
	numbers[0] = 3;
	flags = x;
}

int f(int i)
{
	return slow(first->y) + numbers[i] + flags;
}
