/* SPDX-License-Identifier: Apache-2.0 */
/* journal_pg_writer - appending to a record in PostgreSQL under its fence, and the slow work of policy. See journal_pg.h. */
#include "io/journal_pg.h"

#include <time.h>

#include "base/check.h"

#define CHUNK_BYTES   (1u << 20) /* of a batch in one statement */
#define CHUNK_ENTRIES 8192u
#define DROP_ROWS     256
#define INDEX_BYTES   64 /* about, of a row beside its bytes */
#define PAUSE_MS      50

enum { A_LEAF, A_BODY, A_JOB, A_STEP, A_LEVEL, A_FIRST, A_SEQ, A_COUNT, A_OUT_SEQ, A_OUT, A_FORGET, ARRAYS };

struct pg_writer {
	struct pg *c; /* NULL: lost */
	struct record record;
	uint64_t epoch;
	bool let_go;
	char *dir;
	uint64_t snapshot; /* in the record */
	struct pg_upload *upload;
	uint8_t leaf[MERKLE_HASH_BYTES]; /* of the last entry that is sure to be there */
	struct pg_array a[ARRAYS];
	char channel[PG_SCHEMA_MAX + 16];
};

static const char append_sql[] =
        "WITH fence AS (UPDATE head SET size = size + $3, leaf = CASE WHEN $3 > 0 THEN $4 ELSE leaf END,"
        " bytes = bytes + $5, renewed = clock_timestamp(), drop_before = greatest(drop_before, $6)"
        " WHERE epoch = $1 AND size = $2 RETURNING bytes),"
        " e AS (INSERT INTO entries (seq, leaf, body) SELECT $2 + n - 1, l, b"
        " FROM fence, unnest($7, $8) WITH ORDINALITY AS t(l, b, n)),"
        " r AS (INSERT INTO results (job, step, level, first, seq, count) SELECT t.* FROM fence,"
        " unnest($9, $10, $11, $12, $13, $14) AS t),"
        " o AS (INSERT INTO outputs (seq, bytes) SELECT t.* FROM fence, unnest($15, $16) AS t),"
        " f AS (INSERT INTO forgets (job) SELECT t FROM fence, unnest($17) AS t ON CONFLICT DO NOTHING)"
        " SELECT bytes, pg_notify($18, '') FROM fence";

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void drop_connection(struct pg_writer *p)
{
	pg_close(p->c);
	p->c = NULL;
}

static enum write_result fenced(struct writer *w)
{
	(void)err_set(
	        &w->why, ERR_FENCED, "another engine has taken over the record: this one has lost its fence");
	(void)err_hint(&w->why,
	        "what it had not yet acknowledged is not done; 'osier hub --standby' makes it stand by");
	return WRITE_FAILED;
}

/* Renew our hold: the size and last leaf that the record has. Returns after what it says is as durable as the server makes
 * things. */
static enum write_result renew(struct writer *w, uint64_t *out_size, uint8_t leaf[MERKLE_HASH_BYTES])
{
	static const char sql[] =
	        "UPDATE head SET renewed = clock_timestamp() WHERE epoch = $1 RETURNING size, leaf, bytes";
	struct pg_value v = {.type = PG_I8, .i8 = (int64_t)w->pg->epoch};
	struct pg_rows *r = NULL;
	const uint8_t *p;
	size_t n;

	if (!w->pg->c && pg_open(w->pg->record.url, PG_WAIT_MS, &w->pg->c, &w->why) < 0)
		return WRITE_FULL;
	if (pg_run(w->pg->c, sql, &v, 1, &r, &w->why) < 0) {
		enum pg_trouble t = pg_trouble(w->pg->c);

		if (t == PG_LOST)
			drop_connection(w->pg);
		return t == PG_LOST || t == PG_FULL ? WRITE_FULL : WRITE_FAILED;
	}
	if (pg_rows_n(r) != 1) {
		pg_rows_free(r);
		return fenced(w);
	}
	*out_size = (uint64_t)pg_cell_i8(r, 0, 0, -1);
	p = pg_cell(r, 0, 1, &n);
	memset(leaf, 0, MERKLE_HASH_BYTES);
	if (p && n == MERKLE_HASH_BYTES)
		memcpy(leaf, p, n);
	w->db_bytes = (uint64_t)pg_cell_i8(r, 0, 2, 0);
	pg_rows_free(r);
	return WRITE_OK;
}

/* ---- one statement ---- */

static struct pg_value i8(uint64_t v)
{
	return (struct pg_value){.type = PG_I8, .i8 = (int64_t)v};
}

static void fill(struct pg_writer *p, const struct batch *b, size_t from, size_t to, uint64_t seq)
{
	for (int i = 0; i < ARRAYS; i++)
		pg_array_clear(&p->a[i], i == A_LEAF || i == A_BODY || i == A_OUT);
	for (size_t i = from; i < to; i++, seq++) {
		const struct batch_entry *en = &b->entry[i];
		const uint8_t *bytes = b->bytes + en->at;

		pg_array_bytes(&p->a[A_LEAF], en->leaf, sizeof(en->leaf));
		pg_array_bytes(&p->a[A_BODY], bytes, en->bytes);
		if (!en->indexed)
			continue;
		pg_array_i8(&p->a[A_JOB], (int64_t)en->job);
		pg_array_i8(&p->a[A_STEP], en->step);
		pg_array_i8(&p->a[A_LEVEL], level_of(en->count));
		pg_array_i8(&p->a[A_FIRST], (int64_t)en->first);
		pg_array_i8(&p->a[A_SEQ], (int64_t)seq);
		pg_array_i8(&p->a[A_COUNT], (int64_t)en->count);
		if (en->output_bytes == 0)
			continue;
		pg_array_i8(&p->a[A_OUT_SEQ], (int64_t)seq);
		pg_array_bytes(&p->a[A_OUT], bytes + en->bytes, en->output_bytes);
	}
	if (to == b->n) /* what policy wants goes with the last */
		for (size_t i = 0; i < b->n_forget; i++)
			pg_array_i8(&p->a[A_FORGET], (int64_t)b->forget[i]);
}

/* Entries [from, to) of the batch, of which the first gets number `seq`. *out_done false: the fence is lost, or it was done before. */
static int append(
        struct writer *w, const struct batch *b, size_t from, size_t to, uint64_t seq, bool *out_done)
{
	struct pg_writer *p = w->pg;
	static const uint8_t none[MERKLE_HASH_BYTES];
	struct pg_value v[18] = {i8(p->epoch), i8(seq), i8(to - from)};
	struct pg_rows *r = NULL;
	size_t bytes = (to - from) * INDEX_BYTES;

	for (size_t i = from; i < to; i++)
		bytes += b->entry[i].bytes + b->entry[i].output_bytes;
	fill(p, b, from, to, seq);
	v[3] = (struct pg_value){
	        .type = PG_BYTES, .p = to > from ? b->entry[to - 1].leaf : none, .n = MERKLE_HASH_BYTES};
	v[4] = i8(bytes);
	v[5] = i8(to == b->n ? b->drop_before : 0);
	for (int i = 0; i < ARRAYS; i++)
		v[6 + i] = pg_array_value(&p->a[i]);
	v[17] = (struct pg_value){.type = PG_TEXT, .p = p->channel, .n = strlen(p->channel)};
	if (pg_run(p->c, append_sql, v, 18, &r, &w->why) < 0)
		return -1;
	*out_done = pg_rows_n(r) == 1;
	if (*out_done)
		w->db_bytes = (uint64_t)pg_cell_i8(r, 0, 0, 0);
	pg_rows_free(r);
	return 0;
}

/* How many entries from `from` on go in one statement. */
static size_t chunk_end(const struct batch *b, size_t from)
{
	size_t at = from, bytes = 0;

	while (at < b->n && at - from < CHUNK_ENTRIES && bytes < CHUNK_BYTES) {
		bytes += b->entry[at].bytes + b->entry[at].output_bytes;
		at++;
	}
	return at;
}

/* ---- a batch ---- */

/* A batch of several statements. Its last words renew our hold: the rows were locked meanwhile, and who waited for them looks
 * again. */
static int append_all(struct writer *w, const struct batch *b, bool *out_done)
{
	static const char renew_sql[] = "UPDATE head SET renewed = clock_timestamp() WHERE epoch = $1";
	struct pg_value v = i8(w->pg->epoch);
	size_t at = 0;

	*out_done = true;
	if (pg_script(w->pg->c, "BEGIN", &w->why) < 0)
		return -1;
	while (at < b->n && *out_done) {
		size_t end = chunk_end(b, at);

		if (append(w, b, at, end, w->next_seq + at, out_done) < 0)
			return -1;
		at = end;
	}
	if (!*out_done)
		return pg_script(w->pg->c, "ROLLBACK", &w->why);
	if (pg_run(w->pg->c, renew_sql, &v, 1, NULL, &w->why) < 0)
		return -1;
	return pg_script(w->pg->c, "COMMIT", &w->why);
}

/* WRITE_OK with *out_sure false: ask the record what it came to. */
static enum write_result try_commit(struct writer *w, const struct batch *b, bool *out_sure)
{
	struct pg_writer *p = w->pg;
	enum pg_trouble t;
	bool done = false;
	int rc;

	*out_sure = false;
	(void)pg_warned(p->c);
	rc = chunk_end(b, 0) == b->n ? append(w, b, 0, b->n, w->next_seq, &done) : append_all(w, b, &done);
	if (rc == 0) {
		*out_sure = done && !pg_warned(p->c);
		return WRITE_OK;
	}
	t = pg_trouble(p->c);
	if (t == PG_LOST)
		drop_connection(p);
	else if (pg_script(p->c, "ROLLBACK", NULL) < 0)
		drop_connection(p);
	if (t == PG_FULL)
		return WRITE_FULL;
	if (t == PG_TWICE)
		(void)err_set(&w->why, ERR_CORRUPT, "the record has entries beyond its size of %llu",
		        (unsigned long long)w->next_seq);
	return t == PG_LOST ? WRITE_OK : WRITE_FAILED;
}

static enum write_result other_history(struct writer *w, uint64_t size)
{
	(void)err_set(&w->why, ERR_CORRUPT,
	        "the record has %llu entries where this engine has acknowledged %llu: it has lost some, or "
	        "has others",
	        (unsigned long long)size, (unsigned long long)w->next_seq);
	(void)err_hint(&w->why, "was a replica promoted that was not synchronous? what was acknowledged is "
	                        "in this folder's snapshots");
	return WRITE_FAILED;
}

/* After doubt: is the batch in the record? */
static enum write_result look_whether_done(struct writer *w, const struct batch *b, bool *out_done)
{
	const uint8_t *last = b->n ? b->entry[b->n - 1].leaf : w->pg->leaf;
	uint8_t leaf[MERKLE_HASH_BYTES];
	uint64_t size = 0;
	enum write_result r = renew(w, &size, leaf);

	if (r != WRITE_OK)
		return r;
	*out_done = b->n > 0 && size == w->next_seq + b->n && memcmp(leaf, last, sizeof(leaf)) == 0;
	if (*out_done)
		return WRITE_OK;
	if (size != w->next_seq || (size > 0 && memcmp(leaf, w->pg->leaf, sizeof(leaf)) != 0))
		return other_history(w, size);
	return WRITE_OK;
}

static void pause_ms(long ms)
{
	struct timespec t = {.tv_nsec = ms * 1000000};

	(void)nanosleep(&t, NULL);
}

static enum write_result pg_commit(struct writer *w, const struct batch *b)
{
	uint64_t until = now_ms() + PG_PATIENCE_MS;
	bool done = false, doubt = w->pg->c == NULL || w->doubt;

	for (;;) {
		enum write_result r = WRITE_OK;

		if (doubt)
			r = look_whether_done(w, b, &done);
		doubt = doubt && r == WRITE_FULL;
		if (r == WRITE_OK && !done) {
			r = try_commit(w, b, &done);
			doubt = r == WRITE_OK && !done;
		}
		/* A change of policy alone leaves no mark: done twice is done once. */
		if (r == WRITE_FAILED)
			return r;
		if (done)
			break;
		if (now_ms() > until) {
			w->doubt = doubt;  /* of this very batch, which comes again */
			if (r == WRITE_OK) /* it has answered, and not whether it has the batch */
				(void)err_set(&w->why, ERR_CLOSED,
				        "the record has taken longer than %u s to write",
				        PG_PATIENCE_MS / 1000);
			return WRITE_FULL;
		}
		if (r == WRITE_FULL)
			pause_ms(PAUSE_MS);
	}
	w->doubt = false;
	w->next_seq += b->n;
	if (b->n)
		memcpy(w->pg->leaf, b->entry[b->n - 1].leaf, MERKLE_HASH_BYTES);
	w->forgetting |= b->n_forget > 0;
	if (b->drop_before > w->drop_before)
		w->drop_before = b->drop_before;
	return WRITE_OK;
}

static enum write_result pg_keep(struct writer *w)
{
	uint8_t leaf[MERKLE_HASH_BYTES];
	uint64_t size;
	enum write_result r = renew(w, &size, leaf);

	/* With a batch in doubt it is the batch's business to look. */
	if (r == WRITE_OK && !w->doubt &&
	        (size != w->next_seq || (size > 0 && memcmp(leaf, w->pg->leaf, sizeof(leaf)) != 0)))
		return other_history(w, size);
	return r;
}

/* ---- dropping ---- */

static int one_i8(
        struct pg_writer *p, const char *sql, const struct pg_value *v, size_t n, int64_t *out, struct err *e)
{
	struct pg_rows *r = NULL;

	if (pg_run(p->c, sql, v, n, &r, e) < 0)
		return -1;
	*out = pg_rows_n(r) == 1 ? pg_cell_i8(r, 0, 0, 0) : -1;
	pg_rows_free(r);
	return 0;
}

/* *out_bytes: how much less there is. */
static int forget_some(struct writer *w, int64_t *out_bytes, bool *out_done)
{
	static const char next[] = "SELECT coalesce(min(job), -1) FROM forgets";
	static const char drop[] =
	        "WITH d AS (DELETE FROM results WHERE (job, step, level, first, seq) IN (SELECT job, step, "
	        "level, first, seq"
	        " FROM results WHERE job = $1 ORDER BY step, level, first, seq LIMIT $2) RETURNING seq),"
	        " o AS (DELETE FROM outputs WHERE seq IN (SELECT seq FROM d) RETURNING length(bytes) AS n)"
	        " SELECT (SELECT count(*) FROM d), (SELECT coalesce(sum(n), 0) FROM o)::bigint";
	static const char end[] = "DELETE FROM forgets WHERE job = $1";
	struct pg_value v[2] = {i8(0), i8(DROP_ROWS)};
	struct pg_rows *r = NULL;
	int64_t job, rows;

	if (one_i8(w->pg, next, NULL, 0, &job, &w->why) < 0)
		return -1;
	*out_done = job < 0;
	if (job < 0)
		return 0;
	v[0] = i8((uint64_t)job);
	if (pg_run(w->pg->c, drop, v, 2, &r, &w->why) < 0)
		return -1;
	rows = pg_cell_i8(r, 0, 0, 0);
	*out_bytes += pg_cell_i8(r, 0, 1, 0);
	pg_rows_free(r);
	return rows < DROP_ROWS ? pg_run(w->pg->c, end, v, 1, NULL, &w->why) : 0;
}

/* Entries [from, from + 256) become one row of hashes. What finds results by task is dropped with its job only. */
static int drop_tile(struct writer *w, uint64_t from, int64_t *out_bytes)
{
	static const char sql[] =
	        "WITH l AS (SELECT string_agg(leaf, ''::bytea ORDER BY seq) AS h, count(*) AS n,"
	        " coalesce(sum(length(body)), 0)::bigint AS b FROM entries WHERE seq >= $1 AND seq < $2),"
	        " t AS (INSERT INTO tiles (n, hashes) SELECT $3, h FROM l WHERE n = 256"
	        " ON CONFLICT (n) DO UPDATE SET hashes = excluded.hashes),"
	        " o AS (DELETE FROM outputs WHERE seq >= $1 AND seq < $2 AND (SELECT n FROM l) = 256 "
	        "RETURNING length(bytes) AS n),"
	        " d AS (DELETE FROM entries WHERE seq >= $1 AND seq < $2 AND (SELECT n FROM l) = 256)"
	        " SELECT n, b + (SELECT coalesce(sum(o.n), 0) FROM o)::bigint FROM l";
	struct pg_value v[3] = {i8(from), i8(from + TILE_LEAVES), i8(from / TILE_LEAVES)};
	struct pg_rows *r = NULL;
	int64_t n, bytes;

	if (pg_run(w->pg->c, sql, v, 3, &r, &w->why) < 0)
		return -1;
	n = pg_cell_i8(r, 0, 0, 0);
	bytes = pg_cell_i8(r, 0, 1, 0);
	pg_rows_free(r);
	if (n != TILE_LEAVES)
		return err_set(&w->why, ERR_CORRUPT, "entries from %llu on are missing in the record",
		        (unsigned long long)from);
	*out_bytes += bytes + (INDEX_BYTES - 32) * (int64_t)TILE_LEAVES;
	return 0;
}

static int drop_all(struct writer *w, bool *out_forgot_all, uint64_t *out_dropped_to)
{
	static const char mark[] = "UPDATE head SET dropped_to = $2, bytes = greatest(0, bytes - $3),"
	                           " renewed = clock_timestamp() WHERE epoch = $1 RETURNING bytes";
	static const char fence[] = "SELECT 1::bigint FROM head WHERE epoch = $1 FOR UPDATE";
	struct pg_value v[3] = {i8(w->pg->epoch)};
	int64_t held, bytes = 0;

	if (pg_script(w->pg->c, "BEGIN", &w->why) < 0 || one_i8(w->pg, fence, v, 1, &held, &w->why) < 0)
		return -1;
	if (held != 1) {
		(void)fenced(w);
		return -1;
	}
	if (w->forgetting && forget_some(w, &bytes, out_forgot_all) < 0)
		return -1;
	if (w->drop_from < w->drop_before) {
		if (drop_tile(w, w->drop_from, &bytes) < 0)
			return -1;
		*out_dropped_to = w->drop_from + TILE_LEAVES;
	}
	v[1] = i8(*out_dropped_to);
	v[2] = i8((uint64_t)bytes);
	if (one_i8(w->pg, mark, v, 3, &held, &w->why) < 0)
		return -1;
	w->db_bytes = held > 0 ? (uint64_t)held : 0;
	return pg_script(w->pg->c, "COMMIT", &w->why);
}

/* Before history goes, a snapshot that covers it must be where whoever takes over finds it. 1: there is one. */
static int cover(struct writer *w)
{
	static const char fence[] = "SELECT 1::bigint FROM head WHERE epoch = $1 FOR UPDATE";
	struct pg_value v = i8(w->pg->epoch);
	int64_t held;
	int rc;

	if (w->pg->snapshot >= w->drop_before)
		return 1;
	if (pg_script(w->pg->c, "BEGIN", &w->why) < 0 || one_i8(w->pg, fence, &v, 1, &held, &w->why) < 0)
		return -1;
	if (held != 1) {
		(void)fenced(w);
		return -1;
	}
	rc = pg_upload_part(w->pg->c, w->pg->dir, &w->pg->upload, &w->pg->snapshot, &w->why);
	if (rc < 0 || pg_script(w->pg->c, "COMMIT", &w->why) < 0)
		return -1;
	return 0;
}

static enum write_result pg_drop_step(struct writer *w, bool *out_more)
{
	bool forgot_all = !w->forgetting;
	uint64_t dropped_to = w->drop_from;
	enum pg_trouble t;
	int rc;

	*out_more = true;
	if (!w->pg->c && pg_keep(w) != WRITE_OK)
		return w->why.code == ERR_FENCED ? WRITE_FAILED : WRITE_FULL;
	rc = cover(w);
	if (rc == 0)
		return WRITE_OK; /* a part of it */
	if (rc > 0 && drop_all(w, &forgot_all, &dropped_to) == 0) {
		w->forgetting = !forgot_all;
		w->drop_from = dropped_to;
		*out_more = w->forgetting || w->drop_from < w->drop_before;
		return WRITE_OK;
	}
	t = pg_trouble(w->pg->c);
	if (t == PG_LOST || pg_script(w->pg->c, "ROLLBACK", NULL) < 0)
		drop_connection(w->pg);
	if (rc < 0) { /* which parts are there is not known any more */
		pg_upload_free(w->pg->upload);
		w->pg->upload = NULL;
		w->pg->snapshot = 0;
	}
	return t == PG_LOST || t == PG_FULL || w->why.code == ERR_NOTFOUND ? WRITE_FULL : WRITE_FAILED;
}

/* ---- opening, closing ---- */

static void pg_release(struct writer *w)
{
	static const char sql[] =
	        "UPDATE head SET holder = '' WHERE epoch = $1 AND holder = $2 RETURNING pg_notify($3, '')";
	struct pg_writer *p = w->pg;
	struct pg_value v[3] = {i8(p->epoch),
	        {.type = PG_TEXT, .p = p->record.holder, .n = strlen(p->record.holder)},
	        {.type = PG_TEXT, .p = p->channel, .n = strlen(p->channel)}};

	if (p->c && p->let_go)
		(void)pg_run(p->c, sql, v, 3, NULL, NULL); /* else it is free when its time is over */
	drop_connection(p);
	for (int i = 0; i < ARRAYS; i++)
		free(p->a[i].p);
	explicit_bzero(&p->record, sizeof(p->record));
	pg_upload_free(p->upload);
	free(p->dir);
	free(p);
	memset(w, 0, sizeof(*w));
}

static const struct writer_ops ops = {
        .commit = pg_commit,
        .drop_step = pg_drop_step,
        .keep = pg_keep,
        .release = pg_release,
};

void pg_writer_init(
        struct writer *w, struct pg *c, const struct record *r, const char *dir, const struct pg_state *s)
{
	struct pg_writer *p = must_grow(NULL, sizeof(*p));

	memset(p, 0, sizeof(*p));
	memset(w, 0, sizeof(*w));
	p->c = c;
	p->record = *r;
	p->epoch = s->epoch;
	p->dir = strdup(dir);
	CHECK(p->dir);
	p->snapshot = s->snapshot;
	p->let_go = true;
	memcpy(p->leaf, s->leaf, sizeof(p->leaf));
	pg_journal_channel(c, p->channel);
	w->ops = &ops;
	w->pg = p;
	w->next_seq = s->size;
	w->db_bytes = s->bytes;
	/* A journal that was moved here has no snapshot beside it yet: the work of policy begins with that. */
	w->forgetting = s->forgets > 0 || s->snapshot < s->drop_before;
	w->drop_from = s->dropped_to;
	w->drop_before = s->drop_before;
	w->wal_bytes_max = UINT32_MAX;
	w->keep_ns = PG_KEEP_MS * (uint64_t)1000000;
}

void pg_writer_let_go(struct writer *w, bool let_go)
{
	if (w->pg)
		w->pg->let_go = let_go;
}
