/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_reader - look-ups and scans on a connection of their own, checked, wherever the rows lie. See journal_int.h.
 *
 * Scans are cut into chunks: a reader that sits in one would keep SQLite's log from being reused.
 */
#include "io/journal_pg.h"

#include "base/check.h"
#include "core/ledger.h"
#include "wire/entry.h"

int journal_reader_open(const char *dir, struct journal_reader **out, struct err *e)
{
	struct record record;
	bool found;
	int rc = record_load(dir, &record, &found, e);

	if (rc == 0)
		rc = found ? pg_reader_open(&record, out, e) : db_reader_open(dir, out, e);
	explicit_bzero(&record, sizeof(record));
	if (rc < 0)
		return -1;
	(*out)->sha = sha256_new();
	return 0;
}

void journal_reader_close(struct journal_reader *r)
{
	if (!r)
		return;
	sha256_free(r->sha);
	free(r->entry.p);
	free(r->outputs.p);
	r->ops->close(r);
}

void buffer_keep(struct buffer *b, const void *p, size_t n)
{
	if (n > b->size || !b->p) {
		b->p = must_grow(b->p, n + 1);
		b->size = n;
	}
	if (n > 0)
		memcpy(b->p, p, n);
	b->n = n;
}

void seq_list_add(struct seq_list *l, uint64_t seq)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->seq = must_grow(l->seq, l->cap * sizeof(*l->seq));
	}
	l->seq[l->n++] = seq;
}

int reader_corrupt(struct err *e, uint64_t seq, const char *how)
{
	(void)err_set(e, ERR_CORRUPT, "entry %llu of the journal %s", (unsigned long long)seq, how);
	return err_hint(e, "restore the folder from a backup, or move it away to begin anew");
}

static int check_hash(struct journal_reader *r, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes,
        size_t n, struct err *e)
{
	struct merkle_hash h = sha256_merkle(r->sha);
	uint8_t hash[MERKLE_HASH_BYTES];

	ledger_leaf(&h, bytes, n, hash);
	return memcmp(hash, leaf, sizeof(hash)) == 0 ? 0
	                                             : reader_corrupt(e, seq, "is not what its hash says");
}

/* The hashes of a dropped tile into r->entry. *out_found false: those entries were not dropped. */
static int read_tile(struct journal_reader *r, uint64_t tile, bool *out_found, struct err *e)
{
	if (r->ops->tile(r, tile, out_found, e) < 0)
		return -1;
	if (*out_found && r->entry.n != TILE_LEAVES * MERKLE_HASH_BYTES)
		return reader_corrupt(e, tile * TILE_LEAVES, "and those after it have lost their hashes");
	return 0;
}

static int not_there(struct journal_reader *r, uint64_t seq, uint8_t leaf[MERKLE_HASH_BYTES], struct err *e)
{
	bool found;

	if (read_tile(r, seq / TILE_LEAVES, &found, e) < 0)
		return -1;
	if (!found)
		return err_set(e, ERR_NOTFOUND, "there is no entry %llu", (unsigned long long)seq);
	memcpy(leaf, r->entry.p + seq % TILE_LEAVES * MERKLE_HASH_BYTES, MERKLE_HASH_BYTES);
	return err_set(e, ERR_NOTFOUND, "payload expired: that of entry %llu was dropped by policy",
	        (unsigned long long)seq);
}

struct one_entry {
	struct journal_reader *r;
	uint8_t *leaf;
};

static int take_entry(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct one_entry *o = ctx;

	if (check_hash(o->r, seq, leaf, bytes, n, e) < 0)
		return -1;
	buffer_keep(&o->r->entry, bytes, n);
	if (o->leaf)
		memcpy(o->leaf, leaf, MERKLE_HASH_BYTES);
	return 1;
}

int journal_read_entry(struct journal_reader *r, uint64_t seq, const uint8_t **out, size_t *out_n,
        uint8_t leaf[32], struct err *e)
{
	struct one_entry o = {r, leaf};
	uint8_t ignored[MERKLE_HASH_BYTES];
	int rc;

	if (seq > INT64_MAX)
		return err_set(e, ERR_NOTFOUND, "there is no entry %llu", (unsigned long long)seq);
	rc = r->ops->scan(r, seq, seq + 1, take_entry, &o, e);
	if (rc == 0)
		return not_there(r, seq, leaf ? leaf : ignored, e);
	*out = r->entry.p;
	*out_n = r->entry.n;
	return rc < 0 ? -1 : 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The numbers of all Results entries of the task, oldest first. */
static int find_results(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        struct seq_list *l, struct err *e)
{
	if (job > INT64_MAX || task > INT64_MAX)
		return 0;
	if (r->ops->results(r, job, step, task, l, e) < 0)
		return -1;
	if (l->n > 0)
		qsort(l->seq, l->n, sizeof(*l->seq), by_number);
	return 0;
}

/* The newest of them, or the newest of that lease's. */
static int newest(struct journal_reader *r, const struct seq_list *l, uint64_t task, uint64_t lease,
        size_t *out, const uint8_t **bytes, size_t *n, struct err *e)
{
	uint64_t of;

	for (*out = l->n; (*out)-- > 0;) {
		if (journal_read_entry(r, l->seq[*out], bytes, n, NULL, e) < 0)
			return -1;
		if (lease == 0 || (entry_peek(*bytes, *n, &of) == WIRE__ENTRY__BODY_RESULTS && of == lease))
			return 0;
	}
	return err_set(e, ERR_NOTFOUND, "there is no result of task %llu", (unsigned long long)task);
}

int journal_read_result_of(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        uint64_t lease, uint64_t *out_seq, const uint8_t **out, size_t *out_n, const uint8_t **out_outputs,
        size_t *out_output_bytes, struct err *e)
{
	struct seq_list l = {0};
	int rc = r->ops->begin(r, e);
	size_t at = 0;

	if (rc < 0)
		return -1;
	rc = find_results(r, job, step, task, &l, e);
	if (rc == 0)
		rc = newest(r, &l, task, lease, &at, out, out_n, e);
	if (rc == 0)
		rc = r->ops->outputs(r, l.seq[at], e);
	r->ops->end(r);
	if (rc == 0) {
		*out_seq = l.seq[at];
		*out_outputs = r->outputs.p;
		*out_output_bytes = r->outputs.n;
	}
	free(l.seq);
	return rc;
}

int journal_read_result(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        uint64_t *out_seq, const uint8_t **out, size_t *out_n, const uint8_t **out_outputs,
        size_t *out_output_bytes, struct err *e)
{
	return journal_read_result_of(
	        r, job, step, task, 0, out_seq, out, out_n, out_outputs, out_output_bytes, e);
}

int journal_read_attempts(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        int (*each)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n), void *ctx, struct err *e)
{
	struct seq_list l = {0};
	int rc = r->ops->begin(r, e);

	if (rc < 0)
		return -1;
	rc = find_results(r, job, step, task, &l, e);
	for (size_t i = 0; i < l.n && rc == 0; i++) {
		const uint8_t *bytes;
		size_t n;

		rc = journal_read_entry(r, l.seq[i], &bytes, &n, NULL, e);
		if (rc == 0 && each(ctx, l.seq[i], bytes, n) < 0)
			break;
	}
	r->ops->end(r);
	free(l.seq);
	return rc;
}

int journal_read_outputs(
        struct journal_reader *r, uint64_t seq, const uint8_t **out, size_t *out_n, struct err *e)
{
	if (seq > INT64_MAX || r->ops->outputs(r, seq, e) < 0)
		return seq > INT64_MAX
		               ? err_set(e, ERR_NOTFOUND, "there is no entry %llu", (unsigned long long)seq)
		               : -1;
	*out = r->outputs.p;
	*out_n = r->outputs.n;
	return 0;
}

/* ---- scans ---- */

int reader_size(struct journal_reader *r, uint64_t *out, struct err *e)
{
	uint64_t entries, tiles;

	if (r->ops->number(r, NUMBER_ENTRIES_END, &entries, e) < 0 ||
	        r->ops->number(r, NUMBER_TILES_END, &tiles, e) < 0)
		return -1;
	*out = entries > tiles * TILE_LEAVES ? entries : tiles * TILE_LEAVES;
	return *out <= INT64_MAX ? 0 : err_set(e, ERR_CORRUPT, "the journal's entries are misnumbered");
}

int journal_read_size(struct journal_reader *r, uint64_t *out, struct err *e)
{
	return reader_size(r, out, e);
}

int journal_signed(struct journal_reader *r, uint64_t *out_size, uint8_t out_root[32], struct err *e)
{
	if (r->ops->signed_head)
		return r->ops->signed_head(r, out_size, out_root, e);
	*out_size = 0;
	memset(out_root, 0, MERKLE_HASH_BYTES);
	return 0;
}

int journal_note_signed(struct journal_reader *r, uint64_t size, const uint8_t root[32], struct err *e)
{
	return r->ops->note_signed ? r->ops->note_signed(r, size, root, e) : 0;
}

int reader_history_from(struct journal_reader *r, uint64_t *out, struct err *e)
{
	return r->ops->number(r, NUMBER_HISTORY_FROM, out, e);
}

int reader_bytes(struct journal_reader *r, uint64_t *out_bytes, uint64_t *out_free, struct err *e)
{
	if (r->ops->number(r, NUMBER_BYTES, out_bytes, e) < 0)
		return -1;
	return r->ops->number(r, NUMBER_FREE, out_free, e);
}

int reader_leaf(struct journal_reader *r, uint64_t seq, uint8_t out[MERKLE_HASH_BYTES], struct err *e)
{
	struct err why = {0};
	const uint8_t *bytes;
	size_t n;
	bool found;

	if (journal_read_entry(r, seq, &bytes, &n, out, &why) == 0)
		return 0;
	if (why.code == ERR_NOTFOUND && read_tile(r, seq / TILE_LEAVES, &found, &why) == 0) {
		if (!found)
			return reader_corrupt(e, seq, "is missing");
		memcpy(out, r->entry.p + seq % TILE_LEAVES * MERKLE_HASH_BYTES, MERKLE_HASH_BYTES);
		return 0;
	}
	if (e)
		*e = why;
	return -1;
}

struct chunk {
	struct journal_reader *r;
	uint64_t at, checked_from;
	row_fn *row;
	void *ctx;
};

static int chunk_row(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct chunk *c = ctx;

	if (seq != c->at)
		return 1; /* a hole, told by who asked */
	if (seq < c->checked_from && check_hash(c->r, seq, leaf, bytes, n, e) < 0)
		return -1;
	c->at++;
	return c->row(c->ctx, seq, leaf, bytes, n, e) < 0 ? -1 : 0;
}

/* Up to SCAN_ROWS entries from *at on, which it moves. Every one must be there. */
static int scan_chunk(struct journal_reader *r, uint64_t *at, uint64_t to, uint64_t checked_from, row_fn *row,
        void *ctx, struct err *e)
{
	struct chunk c = {r, *at, checked_from, row, ctx};
	uint64_t end = to - *at > SCAN_ROWS ? *at + SCAN_ROWS : to;
	int rc = r->ops->scan(r, *at, end, chunk_row, &c, e);

	*at = c.at;
	if (rc < 0)
		return -1;
	return c.at == end ? 0 : reader_corrupt(e, c.at, "is missing");
}

struct tree_fold {
	struct merkle_frontier *f;
	struct merkle_hash h;
};

static int tree_row(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct tree_fold *t = ctx;

	(void)seq;
	(void)bytes;
	(void)n;
	(void)e;
	merkle_append(t->f, &t->h, leaf);
	return 0;
}

int reader_tree(struct journal_reader *r, struct merkle_frontier *f, uint64_t to, struct err *e)
{
	struct tree_fold t = {.f = f, .h = sha256_merkle(r->sha)};
	uint64_t at;

	while (f->size < to) {
		bool found;

		if (read_tile(r, f->size / TILE_LEAVES, &found, e) < 0)
			return -1;
		if (!found)
			break;
		do
			merkle_append(f, &t.h, r->entry.p + f->size % TILE_LEAVES * MERKLE_HASH_BYTES);
		while (f->size < to && f->size % TILE_LEAVES != 0);
	}
	at = f->size;
	while (at < to) {
		if (scan_chunk(r, &at, to, UINT64_MAX, tree_row, &t, e) < 0)
			return -1;
	}
	return 0;
}

struct entry_fold {
	int (*fold)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e);
	void *ctx;
};

static int entry_row(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct entry_fold *f = ctx;

	(void)leaf;
	return f->fold(f->ctx, seq, bytes, n, e) < 0 ? -1 : 0;
}

int reader_scan(struct journal_reader *r, uint64_t from, uint64_t to, uint64_t checked_from,
        int (*fold)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e), void *ctx,
        struct err *e)
{
	struct entry_fold f = {.fold = fold, .ctx = ctx};
	bool dropped;

	if (read_tile(r, from / TILE_LEAVES, &dropped, e) < 0)
		return -1;
	if (dropped) {
		(void)err_set(e, ERR_NOTFOUND, "payload expired: that of entry %llu was dropped by policy",
		        (unsigned long long)from);
		return err_hint(e, "begin later");
	}
	while (from < to) {
		if (scan_chunk(r, &from, to, checked_from, entry_row, &f, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- the tree, for proofs ---- */

struct leaves {
	uint64_t at;
	uint8_t (*out)[MERKLE_HASH_BYTES];
};

static int leaf_row(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct leaves *l = ctx;

	(void)bytes;
	(void)n;
	(void)e;
	if (seq != l->at)
		return 1;
	memcpy(*l->out++, leaf, MERKLE_HASH_BYTES);
	l->at++;
	return 0;
}

/* Leaf hashes of entries that were not dropped. */
static int row_leaves(struct journal_reader *r, uint64_t from, uint64_t to, uint8_t (*out)[MERKLE_HASH_BYTES],
        struct err *e)
{
	struct leaves l = {from, out};

	if (r->ops->leaves(r, from, to, leaf_row, &l, e) < 0)
		return -1;
	return l.at == to ? 0 : reader_corrupt(e, l.at, "is missing, or has no leaf hash");
}

int journal_read_leaves(
        struct journal_reader *r, uint64_t from, uint64_t n, uint8_t (*out)[MERKLE_HASH_BYTES], struct err *e)
{
	uint64_t to = from + n;

	CHECK(to >= from && to <= INT64_MAX);
	while (from < to) {
		uint64_t end = (from / TILE_LEAVES + 1) * TILE_LEAVES, at = from % TILE_LEAVES;
		bool found;

		if (end > to)
			end = to;
		if (read_tile(r, from / TILE_LEAVES, &found, e) < 0)
			return -1;
		if (found)
			memcpy(out, r->entry.p + at * MERKLE_HASH_BYTES,
			        (size_t)(end - from) * MERKLE_HASH_BYTES);
		else if (row_leaves(r, from, end, out, e) < 0)
			return -1;
		out += end - from;
		from = end;
	}
	return 0;
}

struct audit_fold {
	int (*each)(void *ctx, uint64_t seq, const uint8_t leaf[MERKLE_HASH_BYTES], const uint8_t *bytes,
	        size_t n, struct err *e);
	void *ctx;
};

static int audit_row(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct audit_fold *f = ctx;

	return f->each(f->ctx, seq, leaf, bytes, n, e) < 0 ? -1 : 0;
}

/* Up to SCAN_ROWS entries from *at on, or the rest of a tile that was dropped. */
static int audit_step(
        struct journal_reader *r, uint64_t *at, uint64_t to, struct audit_fold *f, struct err *e)
{
	uint64_t end = (*at / TILE_LEAVES + 1) * TILE_LEAVES;
	bool dropped;

	if (read_tile(r, *at / TILE_LEAVES, &dropped, e) < 0)
		return -1;
	if (!dropped)
		return scan_chunk(r, at, to, UINT64_MAX, audit_row, f, e);
	for (; *at < end && *at < to; ++*at) {
		uint8_t leaf[MERKLE_HASH_BYTES];

		memcpy(leaf, r->entry.p + *at % TILE_LEAVES * MERKLE_HASH_BYTES, sizeof(leaf));
		if (f->each(f->ctx, *at, leaf, NULL, 0, e) < 0)
			return -1;
	}
	return 0;
}

int journal_audit(struct journal_reader *r, uint64_t from, uint64_t to,
        int (*each)(void *ctx, uint64_t seq, const uint8_t leaf[MERKLE_HASH_BYTES], const uint8_t *bytes,
                size_t n, struct err *e),
        void *ctx, struct err *e)
{
	struct audit_fold f = {each, ctx};
	int rc = 0;

	/* A step sees one state of the journal: history that is dropped meanwhile is not missing. */
	while (from < to && rc == 0) {
		if (r->ops->begin(r, e) < 0)
			return -1;
		rc = audit_step(r, &from, to, &f, e);
		r->ops->end(r);
	}
	return rc;
}
