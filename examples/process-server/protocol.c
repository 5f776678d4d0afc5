#include "store.h"

#include <stdio.h>
#include <string.h>

static size_t answer_get(const char *key, char *answer, size_t size)
{
	char value[WORD_SIZE];

	if (store_get(key, value))
		return (size_t)snprintf(answer, size, "NONE\n");
	return (size_t)snprintf(answer, size, "VALUE %s\n", value);
}

size_t protocol_answer(char *line, char *answer, size_t size)
{
	char *rest = NULL;
	char *word = strtok_r(line, " ", &rest);
	char *key = strtok_r(NULL, " ", &rest);
	char *value = strtok_r(NULL, " ", &rest);

	if (word && !strcmp(word, "PING"))
		return (size_t)snprintf(answer, size, "PONG\n");
	if (word && !strcmp(word, "GET") && key)
		return answer_get(key, answer, size);
	if (word && !strcmp(word, "SET") && key && value)
		return (size_t)snprintf(answer, size, "%s\n", store_set(key, value) ? "FULL" : "OK");
	if (word && !strcmp(word, "STAT"))
		return (size_t)snprintf(answer, size, "entries %zu\n", store_count());
	return (size_t)snprintf(answer, size, "ERROR\n");
}
