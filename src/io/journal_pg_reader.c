/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_pg_reader - look-ups in a record in PostgreSQL. See journal_pg.h.
 *
 * A lost connection is made anew once for each call, unless several calls were to see one state. The engine's loop asks, too: when a
 * record said nothing, and no connection could be made either, no reader of the process asks it for REST_NS, and calls fail at once.
 */
#include "io/journal_pg.h"

#include <pthread.h>

#include "base/check.h"
#include "io/clock.h"
#include "io/sha256.h"
#include "wire/entry.h"

#define READ_WAIT_MS 5000u
#define CHEAP_NS     1000000000ull /* a failure that costs nobody much */
#define REST_NS      10000000000ull

struct pg_reader {
	struct journal_reader base;
	struct pg *c; /* NULL: lost */
	struct record record;
	bool looking;
	bool was_silent; /* the last connection */
};

/* A process reads one record. */
static struct {
	pthread_mutex_t mutex;
	uint64_t until_ns;         /* CLOCK_MONOTONIC */
	uint8_t url[SHA256_BYTES]; /* hashed: there may be a password in it */
	struct err why;
} resting = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct pg_reader *of(struct journal_reader *r)
{
	return (struct pg_reader *)(void *)r;
}

static void rest(const struct pg_reader *r, const struct err *why)
{
	(void)pthread_mutex_lock(&resting.mutex);
	resting.until_ns = clock_mono_ns() + REST_NS;
	sha256_of((const uint8_t *)r->record.url, strlen(r->record.url), resting.url);
	resting.why = *why;
	(void)pthread_mutex_unlock(&resting.mutex);
}

static int rests(const struct pg_reader *r, struct err *e)
{
	uint64_t now = clock_mono_ns();
	uint8_t url[SHA256_BYTES];
	int rc = 0;

	sha256_of((const uint8_t *)r->record.url, strlen(r->record.url), url);
	(void)pthread_mutex_lock(&resting.mutex);
	if (now < resting.until_ns && memcmp(resting.url, url, sizeof(url)) == 0) {
		if (e)
			*e = resting.why;
		rc = err_hint(e, "it is asked again in %u s",
		        (unsigned)((resting.until_ns - now) / 1000000000u + 1));
	}
	(void)pthread_mutex_unlock(&resting.mutex);
	return rc;
}

static int connect_again(struct pg_reader *r, struct err *e)
{
	uint64_t began = clock_mono_ns();
	struct err why = {0};

	if (r->c)
		return 0;
	if (rests(r, e) < 0)
		return -1;
	if (pg_open(r->record.url, READ_WAIT_MS, &r->c, &why) == 0)
		return 0;
	if (why.code == ERR_CLOSED && clock_mono_ns() - began > CHEAP_NS)
		rest(r, &why);
	if (e)
		*e = why;
	return -1;
}

/* After a failure: is it worth another try on a new connection? A silent server may have a successor. */
static bool again(struct pg_reader *r, const struct err *why)
{
	bool silent;

	if (!r->c || pg_trouble(r->c) != PG_LOST)
		return false;
	silent = pg_silent(r->c);
	if (silent && r->was_silent)
		rest(r, why);
	r->was_silent = silent;
	pg_close(r->c);
	r->c = NULL;
	return !r->looking;
}

static int tell(struct err *e, const struct err *why)
{
	if (e)
		*e = *why;
	return -1;
}

static int run(struct pg_reader *r, const char *sql, const struct pg_value *v, size_t n, struct pg_rows **out,
        struct err *e)
{
	struct err why = {0};

	for (int i = 0;; i++) {
		if (connect_again(r, &why) < 0)
			break;
		if (pg_run(r->c, sql, v, n, out, &why) == 0) {
			r->was_silent = false;
			return 0;
		}
		if (!again(r, &why) || i == 1)
			break;
	}
	return tell(e, &why);
}

static struct pg_value i8(uint64_t v)
{
	return (struct pg_value){.type = PG_I8, .i8 = (int64_t)v};
}

static void pg_reader_close(struct journal_reader *r)
{
	pg_close(of(r)->c);
	explicit_bzero(of(r)->record.url, sizeof(of(r)->record.url));
	free(r);
}

static int begin(struct journal_reader *r, struct err *e)
{
	struct err why = {0};

	for (int i = 0;; i++) {
		if (connect_again(of(r), &why) < 0)
			return tell(e, &why);
		if (pg_script(of(r)->c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &why) == 0)
			break;
		if (!again(of(r), &why) || i == 1)
			return tell(e, &why);
	}
	of(r)->was_silent = false;
	of(r)->looking = true;
	return 0;
}

static void end(struct journal_reader *r)
{
	struct err why = {0};

	of(r)->looking = false;
	if (of(r)->c && pg_script(of(r)->c, "COMMIT", &why) < 0)
		(void)again(of(r), &why);
}

struct scan {
	row_fn *row;
	void *ctx;
	bool any; /* a row was given on: it must not come twice */
	bool bodies;
};

static int on_row(void *ctx, const struct pg_rows *one, struct err *e)
{
	static const uint8_t nothing[1];
	struct scan *s = ctx;
	uint64_t seq = (uint64_t)pg_cell_i8(one, 0, 0, -1);
	const uint8_t *leaf, *body = NULL;
	size_t leaf_n, n = 0;

	s->any = true;
	leaf = pg_cell(one, 0, 1, &leaf_n);
	if (s->bodies)
		body = pg_cell(one, 0, 2, &n);
	if (!leaf || leaf_n != MERKLE_HASH_BYTES || (s->bodies && !body))
		return reader_corrupt(e, seq, "has no leaf hash or no bytes");
	if (n > ENTRY_BYTES_MAX)
		return reader_corrupt(e, seq, "is too long");
	return s->row(s->ctx, seq, leaf, s->bodies && n == 0 ? nothing : body, n, e);
}

static int each(
        struct journal_reader *r, const char *sql, uint64_t from, uint64_t to, struct scan *s, struct err *e)
{
	struct pg_value v[2] = {i8(from), i8(to)};
	struct err why = {0};
	int rc;

	for (int i = 0;; i++) {
		if (connect_again(of(r), &why) < 0)
			break;
		rc = pg_each(of(r)->c, sql, v, 2, on_row, s, &why);
		if (rc >= 0) {
			of(r)->was_silent = false;
			return rc;
		}
		if (!again(of(r), &why) || s->any || i == 1)
			break;
	}
	return tell(e, &why);
}

static int scan(struct journal_reader *r, uint64_t from, uint64_t to, row_fn *row, void *ctx, struct err *e)
{
	static const char sql[] =
	        "SELECT seq, leaf, body FROM entries WHERE seq >= $1 AND seq < $2 ORDER BY seq";
	struct scan s = {.row = row, .ctx = ctx, .bodies = true};

	return each(r, sql, from, to, &s, e);
}

static int leaves(struct journal_reader *r, uint64_t from, uint64_t to, row_fn *row, void *ctx, struct err *e)
{
	static const char sql[] = "SELECT seq, leaf FROM entries WHERE seq >= $1 AND seq < $2 ORDER BY seq";
	struct scan s = {.row = row, .ctx = ctx};

	return each(r, sql, from, to, &s, e);
}

/* The bytes of the only row into b; *out_found false: there is none. */
static int one_cell(struct journal_reader *r, const char *sql, uint64_t key, struct buffer *b,
        bool *out_found, struct err *e)
{
	struct pg_value v = i8(key);
	struct pg_rows *rows = NULL;
	const uint8_t *p;
	size_t n;

	if (run(of(r), sql, &v, 1, &rows, e) < 0)
		return -1;
	*out_found = pg_rows_n(rows) == 1;
	p = *out_found ? pg_cell(rows, 0, 0, &n) : NULL;
	buffer_keep(b, p, p ? n : 0);
	pg_rows_free(rows);
	return 0;
}

static int tile(struct journal_reader *r, uint64_t n, bool *out_found, struct err *e)
{
	return one_cell(r, "SELECT hashes FROM tiles WHERE n = $1", n, &r->entry, out_found, e);
}

static int outputs(struct journal_reader *r, uint64_t seq, struct err *e)
{
	bool found;

	return one_cell(r, "SELECT bytes FROM outputs WHERE seq = $1", seq, &r->outputs, &found, e);
}

/* One look at each of the levels that there can be: no range of level l is longer than 2^l. */
static int results(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task, struct seq_list *l,
        struct err *e)
{
	static const char sql[] = "SELECT r.seq FROM generate_series(0::bigint, 62) AS l, LATERAL (SELECT "
	                          "seq, first, count FROM results"
	                          " WHERE job = $1 AND step = $2 AND level = l AND first <= $3 AND first > "
	                          "$3 - (1::bigint << l::int)) AS r"
	                          " WHERE $3 - r.first < r.count";
	struct pg_value v[3] = {i8(job), i8(step), i8(task)};
	struct pg_rows *rows = NULL;

	if (run(of(r), sql, v, 3, &rows, e) < 0)
		return -1;
	for (size_t i = 0; i < pg_rows_n(rows); i++)
		seq_list_add(l, (uint64_t)pg_cell_i8(rows, i, 0, 0));
	pg_rows_free(rows);
	return 0;
}

static int number(struct journal_reader *r, enum reader_number which, uint64_t *out, struct err *e)
{
	static const char *const sql[] = {
	        [NUMBER_ENTRIES_END] = "SELECT coalesce(max(seq) + 1, 0) FROM entries",
	        [NUMBER_TILES_END] = "SELECT coalesce(max(n) + 1, 0) FROM tiles",
	        [NUMBER_HISTORY_FROM] = "SELECT drop_before FROM head",
	        [NUMBER_BYTES] = "SELECT bytes FROM head",
	        [NUMBER_FREE] = "SELECT 0::bigint",
	};
	struct pg_rows *rows = NULL;

	if (run(of(r), sql[which], NULL, 0, &rows, e) < 0)
		return -1;
	*out = pg_rows_n(rows) == 1 ? (uint64_t)pg_cell_i8(rows, 0, 0, 0) : 0;
	pg_rows_free(rows);
	return 0;
}

static int signed_head(struct journal_reader *r, uint64_t *size, uint8_t root[32], struct err *e)
{
	struct pg_rows *rows = NULL;
	const uint8_t *p;
	size_t n;
	int rc = 0;

	if (run(of(r), "SELECT signed_size, signed_root FROM head", NULL, 0, &rows, e) < 0)
		return -1;
	*size = pg_rows_n(rows) == 1 ? (uint64_t)pg_cell_i8(rows, 0, 0, 0) : 0;
	memset(root, 0, MERKLE_HASH_BYTES);
	p = *size ? pg_cell(rows, 0, 1, &n) : NULL;
	if (*size && (!p || n != MERKLE_HASH_BYTES))
		rc = err_set(e, ERR_CORRUPT, "the record's table 'head' is damaged");
	else if (p)
		memcpy(root, p, n);
	pg_rows_free(rows);
	return rc;
}

static int note_signed(struct journal_reader *r, uint64_t size, const uint8_t root[32], struct err *e)
{
	static const char sql[] = "UPDATE head SET signed_size = $2, signed_root = $3"
	                          " WHERE epoch = $1 AND signed_size <= $2 RETURNING 1::bigint";
	struct pg_value v[] = {i8(of(r)->record.epoch), i8(size),
	        {.type = PG_BYTES, .p = (const char *)root, .n = MERKLE_HASH_BYTES}};
	struct pg_rows *rows = NULL;
	bool done;

	if (run(of(r), sql, v, 3, &rows, e) < 0)
		return -1;
	done = pg_rows_n(rows) == 1;
	pg_rows_free(rows);
	if (done)
		return 0;
	return err_set(
	        e, ERR_FENCED, "another engine has taken over the record: this one signs no head any more");
}

static const struct reader_ops ops = {
        .close = pg_reader_close,
        .begin = begin,
        .end = end,
        .scan = scan,
        .leaves = leaves,
        .tile = tile,
        .results = results,
        .outputs = outputs,
        .number = number,
        .signed_head = signed_head,
        .note_signed = note_signed,
};

int pg_reader_open(const struct record *rec, struct journal_reader **out, struct err *e)
{
	struct pg_reader *r = must_grow(NULL, sizeof(*r));
	struct pg_state s;

	memset(r, 0, sizeof(*r));
	r->base.ops = &ops;
	r->record = *rec;
	if (connect_again(r, e) < 0 || pg_journal_state(r->c, &s, e) < 0) {
		pg_reader_close(&r->base);
		return -1;
	}
	*out = &r->base;
	return 0;
}
