// Comments and moved lines change nothing.

extern void say(const char *);

#ifdef PATCHED
/* A comment
 * that moves everything below it.
 */
#endif
void f(void)
{
	say("f");
}
