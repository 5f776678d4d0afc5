// A notrace function that changed and stands in a table of the running system is what is refused, not the table.

typedef int fn(int);
__attribute__((no_instrument_function)) static int handle(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
fn *table[] = { handle };
