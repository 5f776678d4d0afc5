/*
 * The world in which a case runs: no C library, what the cases call, and the switch between the two versions.
 *
 * argv[1] says which code runs the calls, three times over:
 *   orig    the original
 *   source  the whole patched object, in a state of its own
 *   fresh   the same, but for the first time when it is the second one's turn
 *   live    the original, then the original redirected to the livepatch, then the original
 */

struct redirect {
	unsigned char *old;
	unsigned char *new;
};

/* Made for each case; the table ends with a null pointer. */
extern struct redirect redirects[];
extern void test(void);
extern void source_test(void);

static long syscall3(long number, long a, long b, long c)
{
	long result;

	asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

void *memset(void *to, int byte, unsigned long len)
{
	for (char *at = to; len--; at++)
		*(volatile char *)at = byte;
	return to;
}

void *memcpy(void *to, const void *from, unsigned long len)
{
	const char *source = from;

	for (char *at = to; len--; at++)
		*(volatile char *)at = *source++;
	return to;
}

unsigned long strlen(const char *text)
{
	unsigned long len = 0;

	while (((volatile const char *)text)[len])
		len++;
	return len;
}

/* What the cases call, unless they define it themselves. */

#define __weak __attribute__((weak))

__weak void say(const char *text)
{
	syscall3(1, 1, (long)text, strlen(text));
}

static void number(long value)
{
	char text[24];
	char *at = text + sizeof(text);
	unsigned long rest = value < 0 ? -value : value;

	*--at = 0;
	do
		*--at = '0' + rest % 10;
	while (rest /= 10);
	if (value < 0)
		*--at = '-';
	say(at);
}

static void tell(const char *what, const char *text, long value)
{
	say(what);
	say(text);
	say(" ");
	number(value);
	say("\n");
}

void report(const char *call, int value)
{
	tell(call, " =", value);
}

__weak void rare(int x)
{
	tell("rare", "", x);
}

__weak void oops(const char *text)
{
	tell("oops ", text, 0);
}

__weak void warn(const char *file, int line)
{
	tell("warn ", file, line);
}

/* A line of code that did not change is the old source's in one version and the new source's in the other. */
__weak void note(const char *file, int line)
{
	tell("note ", file, line > 0);
}

__weak void set(const char *what, int value)
{
	tell("set ", what, value);
}

__weak int outside(int x)
{
	return 3 * x + 1;
}

__weak void keep(int (*function)(int))
{
	tell("keep", "", function ? function(7) : 0);
}

__weak int apply(int (*function)(int), int x)
{
	return function(x);
}

struct ratelimit { int interval, burst, missed; };

__weak int limited(struct ratelimit *limit)
{
	tell("limited", "", limit->burst);
	return limit->missed++ < limit->burst;
}

__weak int shared = 5;

/* The site that ftrace redirects. */
asm(".globl __fentry__\n__fentry__: ret");

static void die(const char *why)
{
	say(why);
	syscall3(60, 1, 0, 0);
}

/* As ftrace does it: the call at the entry becomes a jump. */
static void write_site(unsigned char *site, const unsigned char *bytes)
{
	unsigned long page = (unsigned long)site & -4096ul;

	if (syscall3(10, page, 8192, 7))
		die("mprotect fails\n");
	memcpy(site, bytes, 5);
}

static unsigned char *site_of(const struct redirect *redirect)
{
	if (redirect->old[0] != 0xe8)
		die("no call at the entry\n");
	return redirect->old;
}

static unsigned char saved[64][5];

static void enable(void)
{
	for (int i = 0; redirects[i].old; i++) {
		unsigned char jump[5] = { 0xe9 };
		unsigned char *site = site_of(&redirects[i]);
		int distance = redirects[i].new - (site + 5);

		memcpy(saved[i], site, 5);
		memcpy(jump + 1, &distance, 4);
		write_site(site, jump);
	}
}

static void disable(void)
{
	for (int i = 0; redirects[i].old; i++)
		write_site(redirects[i].old, saved[i]);
}

void world(char **argv)
{
	int live = argv[1][0] == 'l';
	int fresh = argv[1][0] == 'f';
	void (*run)(void) = argv[1][0] == 'o' || live ? test : source_test;

	for (int turn = 0; turn < 3; turn++) {
		if (live && turn == 1)
			enable();
		if (live && turn == 2)
			disable();
		if (!fresh || turn == 1)
			run();
		say("---\n");
	}
	syscall3(60, 0, 0, 0);
}

asm(".globl _start\n_start: mov %rsp, %rdi; add $8, %rdi; and $-16, %rsp; call world");
