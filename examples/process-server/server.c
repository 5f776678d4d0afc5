/*
 * A server of words, for the demonstration of patches for processes: `server PORT [WORKERS]` listens on 127.0.0.1 and
 * answers lines, see README.md. Each worker is a thread with clients of its own.
 */
#define _GNU_SOURCE
#include "store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_SIZE 256
#define WORKERS 2

struct client {
	int socket;
	size_t used;
	char line[LINE_SIZE];
};

static int listener;

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void watch(int epoll, int socket, void *data, unsigned int events)
{
	struct epoll_event event = { .events = events, .data.ptr = data };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event))
		fail("epoll_ctl");
}

static void welcome(int epoll)
{
	int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct client *client;

	if (socket < 0)
		return;
	client = calloc(1, sizeof(*client));
	if (!client) {
		close(socket);
		return;
	}
	client->socket = socket;
	watch(epoll, socket, client, EPOLLIN);
}

static void leave(struct client *client)
{
	close(client->socket);
	free(client);
}

/* Answers the lines that are complete; what is left of the last one stays. */
static int answer(struct client *client)
{
	char *line = client->line, *end;

	while ((end = memchr(line, '\n', client->used - (size_t)(line - client->line)))) {
		char text[LINE_SIZE];
		size_t size;

		*end = '\0';
		size = protocol_answer(line, text, sizeof(text));
		if (send(client->socket, text, size, MSG_NOSIGNAL) != (ssize_t)size)
			return -1;
		line = end + 1;
	}
	client->used -= (size_t)(line - client->line);
	memmove(client->line, line, client->used);
	return client->used < LINE_SIZE ? 0 : -1;
}

static void serve(struct client *client)
{
	ssize_t got = recv(client->socket, client->line + client->used, LINE_SIZE - client->used, 0);

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (got <= 0) {
		leave(client);
		return;
	}
	client->used += (size_t)got;
	if (answer(client))
		leave(client);
}

static void *work(void *unused)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	(void)unused;
	if (epoll < 0)
		fail("epoll_create1");
	watch(epoll, listener, NULL, EPOLLIN | EPOLLEXCLUSIVE);
	for (;;) {
		struct epoll_event event;

		if (epoll_wait(epoll, &event, 1, -1) < 1)
			continue;
		if (event.data.ptr)
			serve(event.data.ptr);
		else
			welcome(epoll);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int workers = argc > 2 ? atoi(argv[2]) : WORKERS;
	socklen_t size = sizeof(address);
	const int yes = 1;

	if (argc < 2) {
		fprintf(stderr, "usage: %s PORT [WORKERS]\n", argv[0]);
		return EXIT_FAILURE;
	}
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((unsigned short)atoi(argv[1]));
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0)
		fail("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 64))
		fail("listen");
	if (getsockname(listener, (struct sockaddr *)&address, &size))
		fail("getsockname");
	/* With port 0 the system chooses one. */
	printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
	fflush(stdout);
	for (int i = 1; i < workers; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, NULL))
			fail("pthread_create");
	}
	work(NULL);
	return EXIT_SUCCESS;
}
