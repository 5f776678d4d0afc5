// Two new data that point to each other come along, both.
//#Run: f()

#ifdef PATCHED
struct node {
	struct node *next;
	int value;
};
static struct node one, other;
static struct node one = { &other, 30 };
static struct node other = { &one, 4 };
#endif

int f(void)
{
#ifdef PATCHED
	one.value += 0 * other.next->next->value;
	return one.next->value + one.next->next->value;
#else
	return 1;
#endif
}
