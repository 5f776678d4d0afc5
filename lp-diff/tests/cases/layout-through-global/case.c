// What a function reaches by a global variable, by a call's result and by an inlined function's locals counts.
//#WithoutDebug: differs

struct by_global {
	int a;
#ifdef PATCHED
	int b;
#endif
};

struct by_result {
	int a;
#ifdef PATCHED
	int b;
#endif
};

struct by_inline {
	int a;
#ifdef PATCHED
	int b;
#endif
};

extern struct by_global *global;
extern struct by_result *result(void);

static inline __attribute__((always_inline)) int inlined(void *data)
{
	struct by_inline *local = data;

	return local->a;
}

int f(void *data)
{
#ifdef PATCHED
	return global->a + result()->a + inlined(data) + 1;
#else
	return global->a + result()->a + inlined(data);
#endif
}
