/* One thread that works all the time, others that wait, and a function to be patched whose calls are timed on demand. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CALLS 2000000
#define TIMES 60

/* What is patched; the change is in the last number. One does next to nothing, the other a little. */
__attribute__((noipa)) unsigned long nothing(unsigned long number)
{
	return number + 1;
}

__attribute__((noipa)) unsigned long called(unsigned long number)
{
	number = (number ^ number >> 33) * 0xff51afd7ed558ccdul;
	number = (number ^ number >> 33) * 0xc4ceb9fe1a85ec53ul;
	return number + 1;
}

static void *waits(void *it)
{
	for (;;)
		pause();
	return it;
}

static void *works(void *it)
{
	for (volatile unsigned long number = 0;; number++)
		;
	return it;
}

/* Each call needs the result of the one before. */
static double nanoseconds(unsigned long (*function)(unsigned long))
{
	double best = 1e9;

	for (int time = 0; time < TIMES; time++) {
		struct timespec start, end;
		unsigned long number = time;
		double took;

		clock_gettime(CLOCK_MONOTONIC, &start);
		for (int call = 0; call < CALLS; call++)
			number = function(number);
		clock_gettime(CLOCK_MONOTONIC, &end);
		took = ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / CALLS;
		if (took < best)
			best = took;
		if (number == 7)
			putchar('\n');
	}
	return best;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	char line[64];
	pthread_t thread;

	/* The main thread is one of them, and waits for questions. */
	for (int at = 1; at < threads; at++)
		pthread_create(&thread, NULL, at == 1 ? works : waits, NULL);
	usleep(100000);
	printf("%lu\n", (unsigned long)called);
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		printf("%.4f %.4f\n", nanoseconds(nothing), nanoseconds(called));
		fflush(stdout);
	}
	return 0;
}
