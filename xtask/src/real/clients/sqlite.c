/* Threads with a database of their own each, that ask in many ways for what is known to be in it. */
#include "client.h"
/* As the library was built; else its header is silent on sessions. */
#define SQLITE_ENABLE_SESSION
#define SQLITE_ENABLE_PREUPDATE_HOOK
#include "sqlite3.h"

#define ROWS 200

struct found {
	long rows, sum;
};

static int take(void *its, int columns, char **values, char **names)
{
	struct found *found = its;

	(void)names;
	found->rows++;
	for (int at = 0; at < columns; at++)
		found->sum += values[at] ? atol(values[at]) : 1000000;
	return 0;
}

static struct found ask(sqlite3 *database, const char *text, unsigned long seed)
{
	struct found found = { 0, 0 };
	char *error = NULL;

	if (sqlite3_exec(database, text, take, &found, &error) != SQLITE_OK)
		wrong(error ? error : text, seed);
	return found;
}

static void expect(sqlite3 *database, const char *text, long rows, long sum, unsigned long seed)
{
	struct found found = ask(database, text, seed);

	if (found.rows != rows || found.sum != sum)
		wrong(text, seed);
}

static void *begin(void)
{
	sqlite3 *database;

	if (sqlite3_open(":memory:", &database) != SQLITE_OK)
		wrong("open", 0);
	ask(database, "CREATE TABLE numbers (n INTEGER PRIMARY KEY, half, word TEXT)", 0);
	ask(database, "CREATE INDEX words ON numbers (word)", 0);
	return database;
}

/* What a session has seen of changes is turned around, packed into bytes and back, and applied: then all is as before. */
static void undo(sqlite3 *database, unsigned long seed);

static void work(void *its, unsigned long seed)
{
	sqlite3 *database = its;
	char text[300];
	long add = seed % 1000;

	ask(database, "BEGIN; DELETE FROM numbers", seed);
	/* The numbers from 1 on; half is NULL for those that cannot be halved. */
	snprintf(text, sizeof text,
		 "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < %d) "
		 "INSERT INTO numbers SELECT n, CASE WHEN n %% 2 = 0 THEN n / 2 END, 'w' || (n %% 10) FROM count", ROWS);
	ask(database, text, seed);
	ask(database, "COMMIT", seed);
	expect(database, "SELECT count(*), sum(n) FROM numbers", 1, ROWS + ROWS * (ROWS + 1) / 2, seed);
	expect(database, "SELECT n FROM numbers WHERE half IS NULL AND n <= 9", 5, 25, seed);
	expect(database, "SELECT n FROM numbers WHERE NOT (half IS NULL) AND n <= 9", 4, 20, seed);
	expect(database, "SELECT half FROM numbers WHERE half NOTNULL ORDER BY n DESC LIMIT 3", 3, 100 + 99 + 98, seed);
	expect(database, "SELECT CASE WHEN half ISNULL THEN 7 ELSE half END FROM numbers WHERE n < 5", 4, 7 + 1 + 7 + 2, seed);
	expect(database, "SELECT sum(n) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM numbers WHERE n <= 4",
	       4, 1 + 3 + 5 + 7, seed);
	expect(database, "SELECT min(n) OVER w FROM numbers WHERE n <= 20 WINDOW w AS (PARTITION BY word)", 20, 110, seed);
	expect(database, "SELECT max(n) FROM numbers GROUP BY word HAVING count(*) = 20 ORDER BY 1", 10, 1955, seed);
	snprintf(text, sizeof text, "UPDATE numbers SET n = n + %ld WHERE word = 'w3'", 1000 + add);
	ask(database, text, seed);
	snprintf(text, sizeof text, "SELECT sum(n) - 20 * %ld FROM numbers WHERE word = 'w3'", 1000 + add);
	expect(database, text, 1, 20 * 3 + 1900, seed);
	undo(database, seed);
	expect(database, text, 1, 20 * 3 + 1900, seed);
}

static int abort_it(void *its, int conflict, sqlite3_changeset_iter *at)
{
	(void)its, (void)conflict, (void)at;
	return SQLITE_CHANGESET_ABORT;
}

static void undo(sqlite3 *database, unsigned long seed)
{
	sqlite3_session *session;
	void *changes, *back;
	int size, back_size;

	if (sqlite3session_create(database, "main", &session) || sqlite3session_attach(session, "numbers"))
		wrong("session", seed);
	ask(database, "UPDATE numbers SET half = n * 1.5, word = word || 'x' WHERE n % 3 = 0", seed);
	ask(database, "DELETE FROM numbers WHERE n % 7 = 0", seed);
	if (sqlite3session_changeset(session, &size, &changes) || size == 0)
		wrong("changeset", seed);
	sqlite3session_delete(session);
	if (sqlite3changeset_invert(size, changes, &back_size, &back))
		wrong("invert", seed);
	if (sqlite3changeset_apply(database, back_size, back, NULL, abort_it, NULL))
		wrong("apply", seed);
	sqlite3_free(changes);
	sqlite3_free(back);
}
