/* Threads that compress, and see whether the same comes back: in pieces, with a header, and after a lost beginning. */
#include "client.h"
#include "zlib.h"

#define SIZE 20000
#define EXTRA 40
/* What inflateSync looks for. */
#define POINT "\0\0\377\377"

struct mine {
	unsigned char plain[SIZE], packed[2 * SIZE], back[SIZE], extra[EXTRA];
	/* Where in what is packed reading can begin. */
	size_t point;
};

static void *begin(void)
{
	return malloc(sizeof(struct mine));
}

static void fill(struct mine *mine, unsigned long seed)
{
	for (size_t at = 0; at < SIZE; ) {
		unsigned long word = next(&seed);
		size_t run = 1 + word % 60;

		/* Some of it repeats, some does not. */
		while (run-- && at < SIZE)
			mine->plain[at++] = (word & 64) ? 'a' + word % 5 : next(&seed) >> 30;
	}
}

/* Packs all of it, with a point behind its first half where reading can begin; says how long it has become. */
static size_t pack(struct mine *mine, unsigned long seed)
{
	z_stream stream = { 0 };
	gz_header header = { .extra = (unsigned char *)"what a header has besides, more than fits", .extra_len = EXTRA };
	int level = seed % 10, memory = 1 + seed / 16 % 9;
	size_t size;

	if (deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, memory, Z_DEFAULT_STRATEGY) != Z_OK)
		wrong("deflateInit2", seed);
	if (deflateSetHeader(&stream, &header) != Z_OK)
		wrong("deflateSetHeader", seed);
	if (deflateBound(&stream, SIZE) < SIZE)
		wrong("deflateBound", seed);
	stream.next_in = mine->plain;
	stream.avail_in = SIZE / 2;
	stream.next_out = mine->packed;
	stream.avail_out = sizeof mine->packed;
	if (deflate(&stream, Z_FULL_FLUSH) != Z_OK)
		wrong("deflate, a part", seed);
	mine->point = stream.total_out;
	if (memcmp(mine->packed + mine->point - 4, POINT, 4))
		wrong("the point", seed);
	stream.avail_in = SIZE - SIZE / 2;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		wrong("deflate, to the end", seed);
	size = stream.total_out;
	deflateEnd(&stream);
	return size;
}

static void unpack(struct mine *mine, size_t size, unsigned long seed)
{
	z_stream stream = { .next_in = mine->packed, .next_out = mine->back };
	gz_header header = { .extra = mine->extra, .extra_max = EXTRA };
	int status = Z_OK;

	if (inflateInit2(&stream, 15 + 16) != Z_OK || inflateGetHeader(&stream, &header) != Z_OK)
		wrong("inflateInit2", seed);
	stream.avail_out = SIZE;
	while (status == Z_OK) {
		size_t left = size - stream.total_in, piece = 1 + next(&seed) % 3000;

		/* The header comes in small pieces. */
		if (stream.total_in < 60)
			piece %= 9;
		stream.avail_in = piece < left ? piece : left;
		status = inflate(&stream, Z_NO_FLUSH);
		if (status == Z_BUF_ERROR && stream.avail_in == 0 && left)
			status = Z_OK;
	}
	if (status != Z_STREAM_END || stream.total_out != SIZE)
		wrong("inflate", seed);
	if (memcmp(mine->plain, mine->back, SIZE))
		wrong("what was packed", seed);
	if (header.done != 1 || memcmp(mine->extra, "what a header has besides, more than fits", EXTRA))
		wrong("the header", seed);
	inflateEnd(&stream);
}

/*
 * Reads from somewhere in the first half on: what comes is the second half. A stop before the point is gone over, as a reader
 * does who finds nonsense there: what is packed looks like a point now and then, and without its fix inflateSync shifts the
 * bits that it begins with the wrong way, which looks like one more often.
 */
static void resume(struct mine *mine, size_t size, unsigned long seed)
{
	z_stream stream = { .next_in = mine->packed, .next_out = mine->back };
	int status;

	if (inflateInit2(&stream, 15 + 16) != Z_OK)
		wrong("inflateInit2", seed);
	stream.avail_in = 300;
	stream.avail_out = SIZE;
	if (inflate(&stream, Z_NO_FLUSH) != Z_OK)
		wrong("inflate, a beginning", seed);
	stream.avail_in = size - stream.total_in;
	do {
		if (inflateSync(&stream) != Z_OK)
			wrong("inflateSync", seed);
		if (stream.total_in > mine->point)
			wrong("a point is missed", seed);
	} while (stream.total_in < mine->point);
	stream.next_out = mine->back;
	stream.avail_out = SIZE;
	status = inflate(&stream, Z_FINISH);
	/* The checksum is of all of it, of which a part is missing. */
	if (status != Z_STREAM_END && status != Z_DATA_ERROR)
		wrong("inflate, behind the point", seed);
	size = stream.next_out - mine->back;
	if (size != SIZE - SIZE / 2 || memcmp(mine->plain + SIZE - size, mine->back, size))
		wrong("what is behind the point", seed);
	inflateEnd(&stream);
}

static void work(void *its, unsigned long seed)
{
	struct mine *mine = its;
	size_t size;

	fill(mine, seed);
	size = pack(mine, seed);
	unpack(mine, size, seed);
	resume(mine, size, seed);
	if (crc32(0, mine->plain, SIZE) != crc32_combine(crc32(0, mine->plain, 777), crc32(0, mine->plain + 777, SIZE - 777), SIZE - 777))
		wrong("crc32", seed);
}
