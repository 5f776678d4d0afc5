// Enumerators with other values: what is stored means something else. One more at the end is fine.

enum state {
	IDLE,
#ifdef PATCHED
	WAITING,
#endif
	RUNNING,
	DONE,
};

enum kind {
	PLAIN,
	FANCY,
#ifdef PATCHED
	FANCIEST,
#endif
};

struct job {
	enum state state;
	enum kind kind;
};

int is_done(struct job *job)
{
	return job->state == DONE && job->kind == FANCY;
}
