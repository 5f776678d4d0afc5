// A function with variable arguments saves its registers as any other code.
//#Flags: -mno-sse
//#Run: f(3, 10, 20, 30)

int f(int count, ...)
{
	__builtin_va_list list;
	int sum = 0;

	__builtin_va_start(list, count);
	while (count--)
#ifdef PATCHED
		sum = sum * 2 + __builtin_va_arg(list, int);
#else
		sum += __builtin_va_arg(list, int);
#endif
	__builtin_va_end(list);
	return sum;
}
