// Members of anonymous structs and unions are the outer one's; a typedef names a struct without a tag.
//#WithoutDebug: differs

typedef struct {
	int raw;
#ifdef PATCHED
	int owner;
#endif
} lock_t;

struct request {
	union {
		long whole;
		struct {
			int low;
#ifdef PATCHED
			short high, extra;
#else
			int high;
#endif
		};
	};
	lock_t *lock;
};

int low(struct request *request)
{
#ifdef PATCHED
	return request->extra + request->low + request->lock->raw;
#else
	return request->low + request->lock->raw;
#endif
}
