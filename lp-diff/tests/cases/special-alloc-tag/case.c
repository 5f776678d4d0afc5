// The tag of an allocation (CONFIG_MEM_ALLOC_PROFILING) tells a line, which is no change of it.

struct tag { const char *modname, *function, *filename; long lineno; };
extern void *kmalloc(long, struct tag *);
#define ALLOC(size, line) ({ static struct tag _alloc_tag __attribute__((used, section("alloc_tags"))) = { "", __func__, "mm/x.c", line }; \
	kmalloc(size, &_alloc_tag); })
#ifdef PATCHED
void *f(void) { ALLOC(1, 11); return ALLOC(2, 12); }
void *g(void) { ALLOC(3, 15); return ALLOC(5, 16); }
#else
void *f(void) { ALLOC(1, 1); return ALLOC(2, 2); }
void *g(void) { ALLOC(3, 5); return ALLOC(4, 6); }
#endif
