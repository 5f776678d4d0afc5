#include "store.h"

#include <pthread.h>
#include <string.h>

#define ENTRIES 256

struct entry {
	char key[WORD_SIZE];
	char value[WORD_SIZE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[ENTRIES];
static size_t used;

/* The entry of a key. It forgets that a key may be the beginning of another: fix-1. */
static struct entry *find(const char *key)
{
	for (size_t i = 0; i < used; i++)
		if (!strncmp(entries[i].key, key, strlen(key)))
			return &entries[i];
	return NULL;
}

int store_set(const char *key, const char *value)
{
	struct entry *entry;
	int done = -1;

	pthread_mutex_lock(&lock);
	entry = find(key);
	if (!entry && used < ENTRIES)
		entry = &entries[used++];
	if (entry) {
		strncpy(entry->key, key, WORD_SIZE - 1);
		strncpy(entry->value, value, WORD_SIZE - 1);
		done = 0;
	}
	pthread_mutex_unlock(&lock);
	return done;
}

int store_get(const char *key, char *value)
{
	struct entry *entry;

	pthread_mutex_lock(&lock);
	entry = find(key);
	if (entry)
		memcpy(value, entry->value, WORD_SIZE);
	pthread_mutex_unlock(&lock);
	return entry ? 0 : -1;
}

size_t store_count(void)
{
	size_t count;

	pthread_mutex_lock(&lock);
	count = used;
	pthread_mutex_unlock(&lock);
	return count;
}
