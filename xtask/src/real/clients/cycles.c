/* Threads that call a function all the time and end the process when it is wrong; others come and go. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What is patched; the change makes no difference for the numbers that are asked. */
__attribute__((noipa)) unsigned long next(unsigned long number)
{
	return number + 1;
}

static void *short_life(void *number)
{
	for (unsigned long count = 0; count < 1000; count++)
		if (next(count) != count + 1)
			abort();
	return number;
}

static void *works(void *it)
{
	for (unsigned long count = 0;; count = (count + 1) % 1000) {
		if (next(count) != count + 1)
			abort();
		/* Not all of the machine: it is measured here. */
		if (count == 0)
			usleep(200);
	}
	return it;
}

int main(void)
{
	pthread_t thread;

	for (int number = 0; number < 3; number++)
		pthread_create(&thread, NULL, works, NULL);
	for (;;) {
		pthread_create(&thread, NULL, short_life, NULL);
		pthread_join(thread, NULL);
		usleep(1000);
	}
}
