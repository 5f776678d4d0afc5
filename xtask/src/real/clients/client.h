/*
 * What the clients of libraries share: threads that work for ever and end the process at the first wrong result, and a
 * port on which one piece of work is done on demand, so that its time can be seen from outside.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 4

/* One piece of work; seed says which. Ends the process if something is wrong. */
static void work(void *mine, unsigned long seed);
/* What each thread has of its own. */
static void *begin(void);

static void wrong(const char *what, unsigned long seed)
{
	printf("wrong: %s (seed %lu)\n", what, seed);
	fflush(stdout);
	_exit(1);
}

static unsigned long next(unsigned long *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void *works(void *number)
{
	unsigned long seed = 88172645463325252ul + (unsigned long)number;
	void *mine = begin();

	for (;;)
		work(mine, next(&seed));
	return NULL;
}

static void *answers(void *socket)
{
	int peer = (int)(long)socket;
	unsigned long seed = 1234567;
	void *mine = begin();
	char byte;

	while (read(peer, &byte, 1) == 1) {
		if (byte != '\n')
			continue;
		work(mine, next(&seed));
		if (write(peer, "right\n", 6) != 6)
			break;
	}
	close(peer);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	pthread_t thread;

	(void)argc;
	address.sin_port = htons(atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8)) {
		perror("listen");
		return 1;
	}
	for (long number = 0; number < THREADS; number++)
		pthread_create(&thread, NULL, works, (void *)number);
	for (;;) {
		long peer = accept(listener, NULL, NULL);

		if (peer < 0)
			return 1;
		setsockopt((int)peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		pthread_create(&thread, NULL, answers, (void *)peer);
		pthread_detach(thread);
	}
}
