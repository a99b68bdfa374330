/* SPDX-License-Identifier: Apache-2.0 */
/* logfolder - see logfolder.h. */
#include "io/logfolder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "core/receipt.h"
#include "core/tiletree.h"
#include "io/growing.h"
#include "io/logdir.h"
#include "io/logsource.h"
#include "io/sha256.h"
#include "wire/entry.h"

enum { TILE_BYTES = TILE_WIDTH * 32 };

struct logfolder {
	struct logdir *dir;
	struct sha256 *sha;
	struct merkle_hash h;
	struct tiletree *tree;
	struct growing g;
	char *note;
	size_t note_n;
	char origin[NOTE_NAME_MAX + 1];
	/* The bundle at hand. */
	uint64_t bundle;
	bool there;
	uint8_t *bytes;
	size_t bytes_n;
};

/* ---- opening ---- */

static int get_tile(void *ctx, const struct tile *t, const uint8_t *want, uint8_t (*out)[32], struct err *e)
{
	struct logfolder *f = ctx;
	uint8_t p[TILE_BYTES];
	size_t n;

	(void)want;
	if (logdir_read_tile(f->dir, t, p, sizeof(p), &n, e) < 0)
		return -1;
	if (n != t->width * (size_t)32 && n != TILE_BYTES)
		return err_set(e, ERR_CORRUPT, "a tile in '%.120s' has %zu bytes", logdir_path(f->dir), n);
	memcpy(out, p, t->width * (size_t)32);
	return 0;
}

static int open_head(struct logfolder *f, struct err *e)
{
	struct tiletree_source s = {get_tile, f};
	struct checkpoint c;
	struct note note;

	f->note = malloc(NOTE_BYTES_MAX + 1);
	CHECK(f->note);
	if (logdir_read(f->dir, "checkpoint", (uint8_t *)f->note, NOTE_BYTES_MAX, &f->note_n, e) < 0)
		return -1;
	f->note[f->note_n] = '\0';
	if (note_parse(f->note, f->note_n, &note, e) < 0 ||
	        checkpoint_parse(note.text, note.text_n, &c, e) < 0)
		return err_wrap(e, "the checkpoint in '%.100s'", logdir_path(f->dir));
	(void)snprintf(f->origin, sizeof(f->origin), "%.*s", (int)c.origin_n, c.origin);
	return tiletree_open(f->tree, &f->h, &s, c.size, c.root, e);
}

int logfolder_open(const char *dir, struct logfolder **out, struct err *e)
{
	struct logfolder *f = calloc(1, sizeof(*f));

	CHECK(f);
	f->sha = sha256_new();
	f->h = sha256_merkle(f->sha);
	f->tree = malloc(sizeof(*f->tree));
	f->bytes = malloc(LOG_BUNDLE_MAX);
	CHECK(f->tree && f->bytes);
	f->bundle = UINT64_MAX;
	growing_init(&f->g, 256u << 10, 8 * ENTRY_BYTES_MAX);
	if (logdir_open(dir, LOGDIR_READ, &f->dir, e) < 0 || open_head(f, e) < 0) {
		logfolder_close(f);
		return -1;
	}
	*out = f;
	return 0;
}

void logfolder_close(struct logfolder *f)
{
	if (!f)
		return;
	logdir_close(f->dir);
	sha256_free(f->sha);
	growing_release(&f->g);
	free(f->tree);
	free(f->bytes);
	free(f->note);
	free(f);
}

void logfolder_head(const struct logfolder *f, struct logfolder_head *out)
{
	*out = (struct logfolder_head){.size = f->tree->size, .note = f->note, .note_n = f->note_n};
	memcpy(out->origin, f->origin, sizeof(out->origin));
	memcpy(out->root, f->tree->root, 32);
}

struct merkle_hash logfolder_hash(struct logfolder *f)
{
	return f->h;
}

struct proof_source logfolder_source(struct logfolder *f)
{
	return tiletree_proofs(f->tree);
}

/* ---- entries ---- */

static int check_seq(const struct logfolder *f, uint64_t seq, struct err *e)
{
	return seq < f->tree->size
	               ? 0
	               : err_set(e, ERR_NOTFOUND, "there is no entry %" PRIu64 ": the log has %" PRIu64, seq,
	                         f->tree->size);
}

int logfolder_leaf(struct logfolder *f, uint64_t seq, uint8_t out[32], struct err *e)
{
	const uint8_t(*hash)[32];

	if (check_seq(f, seq, e) < 0 || tiletree_tile(f->tree, 0, seq / TILE_WIDTH, &hash, e) < 0)
		return -1;
	memcpy(out, hash[seq % TILE_WIDTH], 32);
	return 0;
}

static int load_bundle(struct logfolder *f, uint64_t index, struct err *e)
{
	struct tile t = {.entries = true, .index = index, .width = tile_width(f->tree->size, 0, index)};
	struct err why;

	if (f->bundle == index)
		return 0;
	f->bundle = UINT64_MAX;
	f->there = logdir_read_tile(f->dir, &t, f->bytes, LOG_BUNDLE_MAX, &f->bytes_n, &why) == 0;
	if (!f->there && why.code != ERR_NOTFOUND) {
		if (e)
			*e = why;
		return -1;
	}
	f->bundle = index;
	return 0;
}

static int not_here(uint64_t seq, struct err *e)
{
	return err_set(e, ERR_NOTFOUND,
	        "the payload of entry %" PRIu64 " is not here: it was dropped by policy", seq);
}

int logfolder_entry(struct logfolder *f, uint64_t seq, const uint8_t **out, size_t *out_n, struct err *e)
{
	uint8_t leaf[32], got[32];
	size_t at = 0;

	if (logfolder_leaf(f, seq, leaf, e) < 0 || load_bundle(f, seq / TILE_WIDTH, e) < 0)
		return -1;
	if (!f->there)
		return not_here(seq, e);
	for (uint64_t i = 0; i <= seq % TILE_WIDTH; i++)
		if (!bundle_next(f->bytes, f->bytes_n, &at, out, out_n))
			return err_set(
			        e, ERR_CORRUPT, "the bundle of entry %" PRIu64 " ends before it does", seq);
	merkle_leaf(&f->h, *out, *out_n, got);
	if (memcmp(got, leaf, 32) != 0)
		return err_set(e, ERR_CORRUPT, "entry %" PRIu64 " is not what its leaf in the log says", seq);
	return 0;
}

/* Every entry from `from` on whose payload is here, in order; stops when each returns other than 0, which is returned. Not checked
 * against leaves: who makes something of one reads it again. */
static int scan(struct logfolder *f, uint64_t from,
        int (*each)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n), void *ctx, struct err *e)
{
	const uint8_t *p;
	size_t n, at = 0;
	int rc = 0;

	for (uint64_t b = from / TILE_WIDTH; b * TILE_WIDTH < f->tree->size && rc == 0; b++, at = 0) {
		unsigned width = tile_width(f->tree->size, 0, b);

		if (load_bundle(f, b, e) < 0)
			return -1;
		for (unsigned i = 0; f->there && i < width && rc == 0; i++) {
			if (!bundle_next(f->bytes, f->bytes_n, &at, &p, &n))
				return err_set(e, ERR_CORRUPT,
				        "the bundle of entry %" PRIu64 " ends before it does",
				        b * TILE_WIDTH);
			if (b * TILE_WIDTH + i >= from)
				rc = each(ctx, b * TILE_WIDTH + i, p, n);
		}
	}
	return rc;
}

/* ---- finding a task's result ---- */

struct finding {
	struct logfolder *f;
	/* What is looked for: a job by the lease it has at a hub, or by its number. */
	const char *name, *step_name;
	uint64_t lease, task;
	uint32_t step; /* UINT32_MAX: not known yet */
	/* What was found. */
	uint64_t job, at; /* job 0: not yet; at: of the task in it */
	uint64_t *leases;
	size_t n, room;
	uint64_t results; /* UINT64_MAX: not yet */
};

static const Wire__Entry *decode(struct finding *s, const uint8_t *bytes, size_t n)
{
	const Wire__Entry *en;

	growing_clear(&s->f->g);
	return entry_decode(&s->f->g.arena, bytes, n, &en, NULL) < 0 ? NULL : en;
}

static void submitted(struct finding *s, const Wire__JobSubmitted *m)
{
	const Wire__Delegated *d = m->delegated;

	if (!d || d->lease != s->lease || strcmp(d->job, s->name) != 0 || s->task < d->first)
		return;
	/* A node that joined anew may have had a lease of that number before: the last counts. */
	s->job = m->job;
	s->at = s->task - d->first;
	s->n = 0;
	s->results = UINT64_MAX;
}

static void own_job(struct finding *s, const Wire__JobSubmitted *m)
{
	for (size_t i = 0; m->spec && i < m->spec->n_steps; i++)
		if (strcmp(m->spec->steps[i]->name, s->step_name) == 0)
			s->step = (uint32_t)i;
}

static void granted(struct finding *s, const Wire__LeaseGranted *m)
{
	if (m->job != s->job || m->step != s->step || s->at < m->first || s->at - m->first >= m->count)
		return;
	if (s->n == s->room) {
		s->room = 2 * s->room + 8;
		s->leases = realloc(s->leases, s->room * sizeof(*s->leases));
		CHECK(s->leases);
	}
	s->leases[s->n++] = m->lease;
}

static bool ours(const struct finding *s, uint64_t lease)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->leases[i] == lease)
			return true;
	return false;
}

static int find_each(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n)
{
	struct finding *s = ctx;
	const Wire__Entry *en;
	uint64_t id;
	int kind = (int)entry_peek(bytes, n, &id);

	if (kind == WIRE__ENTRY__BODY_JOB_SUBMITTED && s->name && (en = decode(s, bytes, n)))
		submitted(s, en->job_submitted);
	if (kind == WIRE__ENTRY__BODY_JOB_SUBMITTED && s->step_name && id == s->job &&
	        (en = decode(s, bytes, n)))
		own_job(s, en->job_submitted);
	if (kind == WIRE__ENTRY__BODY_LEASE_GRANTED && s->job && (en = decode(s, bytes, n)))
		granted(s, en->lease_granted);
	if (kind == WIRE__ENTRY__BODY_RESULTS && ours(s, id) && !entry_is_commitment(bytes, n) &&
	        (en = decode(s, bytes, n)) && s->at >= en->results->first &&
	        s->at - en->results->first < en->results->count)
		s->results = seq;
	return 0;
}

static int find(struct finding *s, struct err *e)
{
	int rc = scan(s->f, 0, find_each, s, e);

	free(s->leases);
	if (rc < 0)
		return -1;
	if (s->results != UINT64_MAX)
		return 0;
	(void)err_set(e, ERR_NOTFOUND, "the log '%.100s' has no result of that task here", s->f->origin);
	return err_hint(e, "it may not have come yet, or its payload was dropped by policy");
}

int logfolder_find_lease(struct logfolder *f, const char *job, uint64_t lease, uint64_t task,
        uint64_t *out_results, uint64_t *out_task, struct err *e)
{
	struct finding s = {.f = f, .name = job, .lease = lease, .task = task, .results = UINT64_MAX};

	if (find(&s, e) < 0)
		return -1;
	*out_results = s.results;
	*out_task = s.at;
	return 0;
}

int logfolder_find_task(struct logfolder *f, uint64_t job, const char *step, uint64_t task,
        uint64_t *out_results, struct err *e)
{
	struct finding s = {
	        .f = f, .step_name = step, .job = job, .step = UINT32_MAX, .at = task, .results = UINT64_MAX};

	if (find(&s, e) < 0)
		return -1;
	*out_results = s.results;
	return 0;
}

/* ---- receipts ---- */

struct batch {
	struct logfolder *f;
	uint64_t results, seq;
};

/* Is it the Receipts entry that speaks of the result? */
static int batch_each(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n)
{
	struct batch *b = ctx;
	const Wire__Entry *en;
	uint64_t id;

	if (entry_peek(bytes, n, &id) != WIRE__ENTRY__BODY_RECEIPTS)
		return 0;
	growing_clear(&b->f->g);
	if (entry_decode(&b->f->g.arena, bytes, n, &en, NULL) < 0)
		return 0;
	for (size_t i = 0; i < en->receipts->n_results; i++)
		if (en->receipts->results[i] == b->results) {
			b->seq = seq;
			return 1;
		}
	return 0;
}

static int copy_entry(struct logfolder *f, uint64_t seq, ProtobufCBinaryData *out, struct err *e)
{
	const uint8_t *bytes;
	size_t n;

	if (logfolder_entry(f, seq, &bytes, &n, e) < 0)
		return -1;
	if (n && bytes[0] == 0)
		return err_set(e, ERR_NOTFOUND,
		        "entry %" PRIu64
		        " has more than %u bytes, and of such ones the log has the hash alone",
		        seq, LEDGER_PLAIN_MAX);
	out->data = arena_dup(&f->g.arena, bytes, n);
	out->len = n;
	return out->data ? 0 : err_set(e, ERR_FULL, "the receipt is too large");
}

static int leaf_of(void *ctx, uint64_t seq, uint8_t out[32], struct err *e)
{
	return logfolder_leaf(ctx, seq, out, e);
}

/* Proof of entry `seq`, with r beside it. */
static int print(struct logfolder *f, uint64_t seq, const Wire__ReceiptFile *r, char **out, size_t *out_n,
        struct err *e)
{
	struct tlogproof p = {.index = seq, .note = f->note, .note_n = f->note_n};
	struct proof_source source = logfolder_source(f);
	size_t n = receipt_file_size(r);
	uint8_t *bytes = malloc(n);
	char *extra = malloc(BASE64_CHARS(n) + 1);
	int rc;

	CHECK(bytes && extra);
	p.extra = extra;
	p.extra_n = base64_write(bytes, receipt_file_encode(r, bytes), extra);
	rc = proof_inclusion(&f->h, &source, seq, f->tree->size, &p.path, e);
	if (rc == 0) {
		*out = malloc(tlogproof_size(&p));
		CHECK(*out);
		*out_n = tlogproof_print(&p, *out);
	}
	free(bytes);
	free(extra);
	return rc;
}

int logfolder_receipt(
        struct logfolder *f, uint64_t results, uint64_t task, char **out, size_t *out_n, struct err *e)
{
	struct batch b = {.f = f, .results = results};
	Wire__ReceiptFile r = WIRE__RECEIPT_FILE__INIT;
	const Wire__Entry *en;
	int rc = scan(f, results, batch_each, &b, e);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_NOTFOUND,
		        "no entry that is here vouches for the result in entry %" PRIu64, results);
	growing_clear(&f->g);
	r.task = task;
	if (copy_entry(f, b.seq, &r.receipts, e) < 0 ||
	        entry_decode(&f->g.arena, r.receipts.data, r.receipts.len, &en, e) < 0 ||
	        receipt_place(&f->g.arena, &f->h, en->receipts, results, leaf_of, f, &r, e) < 0 ||
	        copy_entry(f, r.results_seq, &r.results, e) < 0 ||
	        copy_entry(f, r.lease_seq, &r.lease, e) < 0 || copy_entry(f, r.job_seq, &r.job, e) < 0)
		return -1;
	return print(f, b.seq, &r, out, out_n, e);
}
