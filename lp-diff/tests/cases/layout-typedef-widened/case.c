// A typedef of another width changes the structs that use it.
//#WithoutDebug: differs

#ifdef PATCHED
typedef unsigned long cookie_t;
#else
typedef unsigned int cookie_t;
#endif

struct client {
	cookie_t cookie;
	int user;
};

int user(struct client *client)
{
	return client->user;
}
