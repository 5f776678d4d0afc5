/* What the server keeps: words by name. Any thread may call any of these. */
#ifndef STORE_H
#define STORE_H

#include <stddef.h>

#define WORD_SIZE 32

/* 0, or -1 where there is no room. */
int store_set(const char *key, const char *value);

/* Copies a value to `value`, of WORD_SIZE bytes; -1 where there is none. */
int store_get(const char *key, char *value);

/* How many there are. */
size_t store_count(void);

/* Answers a line of a client; the answer's bytes. */
size_t protocol_answer(char *line, char *answer, size_t size);

#endif
