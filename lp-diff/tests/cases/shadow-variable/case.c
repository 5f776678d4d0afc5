// The typed functions of a shadow variable are inlined, and its id is in the report.
#include "../../../../templates/livepatch.h"
typedef unsigned int gfp_t;
#define NULL ((void *)0)
void *klp_shadow_get(void *obj, unsigned long id);
void *klp_shadow_alloc(void *obj, unsigned long id, unsigned long size, gfp_t gfp, void *ctor, void *data);
void *klp_shadow_get_or_alloc(void *obj, unsigned long id, unsigned long size, gfp_t gfp, void *ctor, void *data);
void klp_shadow_free(void *obj, unsigned long id, void *dtor);
void klp_shadow_free_all(unsigned long id, void *dtor);

struct socket { int state; };
struct quota { int left; };
#ifdef PATCHED
LP_SHADOW(quota, struct socket, struct quota, LP_SHADOW_ID(20241086, 1));
#endif

int send(struct socket *socket)
{
#ifdef PATCHED
	struct quota *quota = quota_get_or_attach(socket, 0);

	if (!quota || !quota->left--)
		return -1;
#endif
	return socket->state;
}
