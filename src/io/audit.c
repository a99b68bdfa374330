/* SPDX-License-Identifier: Apache-2.0 */
/* audit - see audit.h. */
#include "io/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "core/receipt.h"
#include "core/tiletree.h"
#include "io/audit_int.h"
#include "io/ed25519.h"
#include "io/growing.h"
#include "io/sha256.h"
#include "wire/entry.h"

enum { RUN = 64 * TILE_WIDTH, THREADS_MAX = 64, KEYS_MAX = 256, CACHE = 64 };

struct log_key { /* that a KeySet entry names */
	uint64_t seq;
	Wire__KeySet__Role role;
	Wire__KeySet__State state;
	struct note_key key;
};

struct used_key { /* with which receipts were signed */
	uint64_t seq;
	uint8_t key[32];
};

struct audit {
	struct audit_source s;
	const struct audit_options *o;
	struct audit_report *report;
	uint64_t entries, size; /* there, and under the head */
	char *note;             /* NULL: there is no head */
	size_t note_n;
	struct checkpoint head;
	uint8_t (*root)[32];             /* of complete tiles of leaves */
	uint8_t edge[TILE_WIDTH][32];    /* leaves of the tile in which the head ends */
	atomic_uint_fast64_t next, done; /* runs taken; entries */
	atomic_uint_fast64_t stop_at;    /* nothing from this entry on is of interest any more */
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	/* under the mutex */
	unsigned running;
	bool failed;
	uint64_t failed_at;
	struct err why;
	struct log_key *key;
	struct used_key *used;
	size_t keys, useds;
};

struct cached {        /* leaves of a tile */
	uint64_t tile; /* + 1; 0: none */
	uint8_t hash[TILE_WIDTH][32];
};

struct worker {
	struct audit *a;
	pthread_t thread;
	void *reader, *look; /* for the scan, and for leaves meanwhile */
	struct sha256 *sha;
	struct merkle_hash h;
	struct growing g;
	uint64_t at; /* the next entry of the scan */
	uint8_t tile[TILE_WIDTH][32];
	struct cached *cache;
	uint64_t expired, bytes, batches, receipts;
};

/* ---- receipts ---- */

static int leaf_of(struct worker *w, uint64_t seq, const uint8_t **out, struct err *e)
{
	uint64_t tile = seq / TILE_WIDTH, first = tile * TILE_WIDTH;
	struct cached *c = &w->cache[tile % CACHE];
	uint64_t n = w->a->entries - first < TILE_WIDTH ? w->a->entries - first : TILE_WIDTH;

	if (c->tile != tile + 1) {
		c->tile = 0;
		if (w->a->s.leaves(w->look, first, n, c->hash, e) < 0)
			return -1;
		c->tile = tile + 1;
	}
	*out = c->hash[seq % TILE_WIDTH];
	return 0;
}

struct statements {
	uint8_t (*leaf)[32];
	const struct merkle_hash *h;
};

static int statements_subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32], struct err *e)
{
	struct statements *s = ctx;
	struct merkle_frontier f;

	(void)e;
	merkle_init(&f);
	for (uint64_t i = index << level; i < (index + 1) << level; i++)
		merkle_append(&f, s->h, s->leaf[i]);
	merkle_root(&f, s->h, out);
	return 0;
}

static int statement_at(
        struct worker *w, uint64_t seq, const Wire__Receipts *m, size_t i, uint8_t out[32], struct err *e)
{
	struct statement s = {
	        .node = m->node, .results = m->results[i], .lease = m->leases[i], .job = m->jobs[i]};
	uint8_t leaf[3][32];
	const uint64_t of[3] = {s.results, s.lease, s.job};

	for (unsigned k = 0; k < 3; k++) {
		const uint8_t *p;

		if (of[k] >= seq)
			return err_set(e, ERR_CORRUPT,
			        "the receipts in entry %" PRIu64 " speak of entry %" PRIu64
			        ", which came later",
			        seq, of[k]);
		if (leaf_of(w, of[k], &p, e) < 0)
			return -1;
		memcpy(leaf[k], p, 32);
	}
	s.results_leaf = leaf[0];
	s.lease_leaf = leaf[1];
	s.job_leaf = leaf[2];
	statement_leaf(&w->h, &s, out);
	return 0;
}

static void note_used(struct audit *a, uint64_t seq, const uint8_t key[32])
{
	size_t i = 0;

	(void)pthread_mutex_lock(&a->mutex);
	while (i < a->useds && memcmp(a->used[i].key, key, 32) != 0)
		i++;
	if (i == a->useds && a->useds < KEYS_MAX) {
		a->used[a->useds].seq = seq;
		memcpy(a->used[a->useds++].key, key, 32);
	} else if (i < a->useds && seq < a->used[i].seq) {
		a->used[i].seq = seq;
	}
	(void)pthread_mutex_unlock(&a->mutex);
}

static int check_receipts(struct worker *w, uint64_t seq, const Wire__Receipts *m, struct err *e)
{
	struct statements s = {.h = &w->h};
	struct proof_source source = {statements_subtree, &s};
	char text[RECEIPT_TEXT_MAX];
	uint8_t root[32];

	if (m->n_results == 0 || m->n_results > RECEIPTS_MAX || m->n_leases != m->n_results ||
	        m->n_jobs != m->n_results || m->root.len != 32 || m->key.len != 32 ||
	        m->signature.len != 64 || strlen(m->node) > NOTE_NAME_MAX)
		return err_set(e, ERR_CORRUPT, "the receipts in entry %" PRIu64 " are none", seq);
	s.leaf = arena_alloc(&w->g.arena, m->n_results * 32);
	CHECK(s.leaf);
	for (size_t i = 0; i < m->n_results; i++)
		if (statement_at(w, seq, m, i, s.leaf[i], e) < 0)
			return -1;
	if (proof_root(&w->h, &source, m->n_results, root, e) < 0)
		return -1;
	if (memcmp(root, m->root.data, 32) != 0)
		return err_set(e, ERR_CORRUPT,
		        "the receipts in entry %" PRIu64 " have another root than what they speak of", seq);
	if (!ed25519_verify(
	            m->key.data, text, receipt_text(m->node, m->n_results, root, text), m->signature.data))
		return err_set(e, ERR_CORRUPT,
		        "the signature of the receipts in entry %" PRIu64 " does not verify", seq);
	note_used(w->a, seq, m->key.data);
	w->batches++;
	w->receipts += m->n_results;
	return 0;
}

static void note_key_set(struct audit *a, uint64_t seq, const Wire__KeySet *m)
{
	struct note_key k;

	if (note_key_parse(m->vkey, strlen(m->vkey), &k, NULL) < 0)
		return;
	(void)pthread_mutex_lock(&a->mutex);
	if (a->keys < KEYS_MAX)
		a->key[a->keys++] = (struct log_key){seq, m->role, m->state, k};
	(void)pthread_mutex_unlock(&a->mutex);
}

static int check_entry(struct worker *w, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e)
{
	const Wire__Entry *en;
	uint64_t id;
	int kind = (int)entry_peek(bytes, n, &id);

	if (kind != WIRE__ENTRY__BODY_RECEIPTS && kind != WIRE__ENTRY__BODY_KEY_SET)
		return 0;
	growing_clear(&w->g);
	if (entry_decode(&w->g.arena, bytes, n, &en, NULL) < 0)
		return 0; /* what it means is for who folds the state */
	if (kind == WIRE__ENTRY__BODY_RECEIPTS)
		return check_receipts(w, seq, en->receipts, e);
	note_key_set(w->a, seq, en->key_set);
	return 0;
}

/* ---- threads ---- */

static int on_entry(
        void *ctx, uint64_t seq, const uint8_t leaf[32], const uint8_t *bytes, size_t n, struct err *e)
{
	struct worker *w = ctx;
	struct audit *a = w->a;
	uint64_t tile = seq / TILE_WIDTH;

	w->at = seq;
	memcpy(w->tile[seq % TILE_WIDTH], leaf, 32);
	if (tile == a->size / TILE_WIDTH)
		memcpy(a->edge[seq % TILE_WIDTH], leaf, 32);
	w->expired += !bytes;
	w->bytes += n;
	if (bytes && check_entry(w, seq, bytes, n, e) < 0)
		return -1;
	w->at = seq + 1;
	if (seq % TILE_WIDTH != TILE_WIDTH - 1)
		return 0;
	tile_root(&w->h, (const uint8_t(*)[32])w->tile, TILE_WIDTH, a->root[tile]);
	(void)atomic_fetch_add(&a->done, TILE_WIDTH);
	return seq < atomic_load(&a->stop_at) ? 0 : err_set(e, ERR_TIMEOUT, "stopped");
}

static void note_failure(struct audit *a, uint64_t at, const struct err *e)
{
	(void)pthread_mutex_lock(&a->mutex);
	if (!a->failed || at < a->failed_at) {
		a->failed = true;
		a->failed_at = at;
		a->why = *e;
		if (at < atomic_load(&a->stop_at))
			atomic_store(&a->stop_at, at);
	}
	(void)pthread_mutex_unlock(&a->mutex);
}

static void *work(void *ctx)
{
	struct worker *w = ctx;
	struct audit *a = w->a;
	struct err e = {0};

	w->at = 0;
	if (a->s.open(a->s.dir, &w->reader, &e) < 0 || a->s.open(a->s.dir, &w->look, &e) < 0) {
		note_failure(a, 0, &e);
	} else {
		for (;;) {
			uint64_t from = atomic_fetch_add(&a->next, RUN);
			uint64_t to = a->entries - from < RUN ? a->entries : from + RUN;

			if (from >= a->entries || from > atomic_load(&a->stop_at))
				break;
			w->at = from;
			if (a->s.scan(w->reader, from, to, on_entry, w, &e) < 0) {
				note_failure(a, w->at, &e);
				break;
			}
		}
	}
	(void)pthread_mutex_lock(&a->mutex);
	a->running--;
	(void)pthread_cond_signal(&a->ended);
	(void)pthread_mutex_unlock(&a->mutex);
	return NULL;
}

static int worker_start(struct audit *a, struct worker *w)
{
	w->a = a;
	w->sha = sha256_new();
	w->h = sha256_merkle(w->sha);
	growing_init(&w->g, 64u << 10, 8 * ENTRY_BYTES_MAX);
	w->cache = calloc(CACHE, sizeof(*w->cache));
	CHECK(w->cache);
	(void)pthread_mutex_lock(&a->mutex);
	a->running++;
	(void)pthread_mutex_unlock(&a->mutex);
	return pthread_create(&w->thread, NULL, work, w);
}

static void worker_end(struct audit *a, struct worker *w)
{
	(void)pthread_join(w->thread, NULL);
	a->report->expired += w->expired;
	a->report->bytes += w->bytes;
	a->report->batches += w->batches;
	a->report->receipts += w->receipts;
	a->s.close(w->reader);
	a->s.close(w->look);
	sha256_free(w->sha);
	growing_release(&w->g);
	free(w->cache);
}

/* Until all threads have ended, with progress meanwhile. */
static bool wait_all(struct audit *a)
{
	bool stopped = false;

	(void)pthread_mutex_lock(&a->mutex);
	while (a->running) {
		struct timespec t;

		(void)clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 100000000;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&a->ended, &a->mutex, &t);
		(void)pthread_mutex_unlock(&a->mutex);
		if (!stopped && a->o->progress &&
		        a->o->progress(a->o->ctx, atomic_load(&a->done), a->entries) < 0) {
			stopped = true;
			atomic_store(&a->stop_at, 0);
		}
		(void)pthread_mutex_lock(&a->mutex);
	}
	(void)pthread_mutex_unlock(&a->mutex);
	return stopped;
}

static int scan_all(struct audit *a, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = a->o->threads ? a->o->threads : cpus > 0 ? (unsigned)cpus : 1, started = 0;
	struct worker *w;
	bool stopped;
	int rc = 0;

	n = n < THREADS_MAX ? n : THREADS_MAX;
	w = calloc(n, sizeof(*w));
	CHECK(w);
	for (; started < n && rc == 0; started++)
		rc = worker_start(a, &w[started]);
	if (rc != 0) {
		/* The one that did not begin counts for nothing; the others do its work. */
		started--;
		(void)pthread_mutex_lock(&a->mutex);
		a->running--;
		(void)pthread_mutex_unlock(&a->mutex);
		sha256_free(w[started].sha);
		growing_release(&w[started].g);
		free(w[started].cache);
	}
	stopped = wait_all(a);
	for (unsigned i = 0; i < started; i++)
		worker_end(a, &w[i]);
	free(w);
	if (stopped)
		return err_set(e, ERR_TIMEOUT, "stopped");
	if (!started) {
		errno = rc;
		return err_sys(e, "cannot start a thread");
	}
	if (a->failed)
		*e = a->why;
	return a->failed ? -1 : 0;
}

/* ---- what stands above the leaves ---- */

/* Do the stored roots of a level say what was computed? n of them. */
static int compare_level(
        struct audit *a, void *reader, unsigned level, uint8_t (*computed)[32], uint64_t n, struct err *e)
{
	uint8_t stored[TILE_WIDTH][32];

	for (uint64_t first = 0; first < n; first += TILE_WIDTH) {
		uint64_t k = n - first < TILE_WIDTH ? n - first : TILE_WIDTH;

		if (a->s.hashes(reader, level, first, k, stored, e) < 0)
			return -1;
		for (uint64_t i = 0; i < k; i++) {
			struct tile t = {.level = level - 1, .index = first + i, .width = TILE_WIDTH};
			char path[TILE_PATH_MAX];

			if (memcmp(stored[i], computed[first + i], 32) == 0)
				continue;
			(void)tile_path(&t, path);
			return err_set(e, ERR_CORRUPT,
			        "'%s' does not hash to what is stored above it: entries %" PRIu64
			        " to %" PRIu64,
			        path, (first + i) << (8 * level), ((first + i + 1) << (8 * level)) - 1);
		}
		a->report->tiles += k;
	}
	return 0;
}

/* The tiles of the edge, as they were computed. Level 1 and above lie in `level`, one after another. */
struct computed {
	struct audit *a;
	uint8_t (*level[TILE_LEVELS])[32];
};

static int get_computed(
        void *ctx, const struct tile *t, const uint8_t *want, uint8_t (*out)[32], struct err *e)
{
	struct computed *c = ctx;

	(void)want;
	(void)e;
	memcpy(out, t->level ? c->level[t->level][t->index * TILE_WIDTH] : c->a->edge[0],
	        t->width * (size_t)32);
	return 0;
}

static int check_tree(struct audit *a, void *reader, struct err *e)
{
	struct computed c = {.a = a, .level = {[1] = a->root}};
	struct tiletree_source s = {get_computed, &c};
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	struct tiletree *t = malloc(sizeof(*t));
	int rc = 0;

	CHECK(t);
	for (unsigned level = 1; level < TILE_LEVELS && rc == 0; level++) {
		uint64_t n = a->size >> (8 * level), above = n / TILE_WIDTH;

		if (n)
			rc = compare_level(a, reader, level, c.level[level], n, e);
		if (level + 1 == TILE_LEVELS || rc < 0)
			break;
		c.level[level + 1] = calloc(above + 1, 32);
		CHECK(c.level[level + 1]);
		for (uint64_t i = 0; i < above; i++)
			tile_root(&h, (const uint8_t(*)[32])c.level[level] + i * TILE_WIDTH, TILE_WIDTH,
			        c.level[level + 1][i]);
	}
	if (rc == 0 && tiletree_open(t, &h, &s, a->size, a->head.root, e) < 0)
		rc = err_set(e, ERR_CORRUPT,
		        "the entries do not lead to the root of the signed head of %" PRIu64, a->size);
	for (unsigned level = 2; level < TILE_LEVELS; level++)
		free(c.level[level]);
	free(t);
	sha256_free(sha);
	return rc;
}

/* ---- keys and the head ---- */

static bool revoked(const struct audit *a, const struct note_key *k)
{
	for (size_t i = 0; i < a->keys; i++)
		if (a->key[i].state == WIRE__KEY_SET__STATE__REVOKED &&
		        memcmp(a->key[i].key.key, k->key, 32) == 0)
			return true;
	return false;
}

/* The policy that the log itself would write: its own keys. false: it names none. */
static bool own_policy(struct audit *a, struct policy *p)
{
	char *text = malloc(KEYS_MAX * (NOTE_VKEY_MAX + 8) + 16), vkey[NOTE_VKEY_MAX];
	size_t n = 0;
	bool any;

	CHECK(text);
	for (size_t i = 0; i < a->keys; i++) {
		const struct log_key *k = &a->key[i];

		if (k->role != WIRE__KEY_SET__ROLE__LOG || k->state != WIRE__KEY_SET__STATE__ADDED ||
		        revoked(a, &k->key))
			continue;
		note_key_print(&k->key, vkey);
		n += (size_t)snprintf(text + n, NOTE_VKEY_MAX + 8, "log %s\n", vkey);
	}
	any = n > 0;
	n += (size_t)snprintf(text + n, 16, "quorum none\n");
	any = any && policy_parse(text, n, p, NULL) == 0;
	free(text);
	return any;
}

static int check_head(struct audit *a, struct err *e)
{
	struct note_verifier v = ed25519_verifier();
	struct policy *own = malloc(sizeof(*own));
	struct policy_result *r = malloc(sizeof(*r));
	const struct policy *p = a->o->policy;
	struct checkpoint c;
	struct note note;
	int rc = 0;

	CHECK(own && r);
	if (!p && own_policy(a, own))
		p = own;
	if (p) {
		rc = note_parse(a->note, a->note_n, &note, e);
		if (rc == 0)
			rc = policy_check(p, &note, &v, &c, r, e);
		if (rc == 0 && policy_enough(r, e) < 0)
			rc = err_wrap(e, "the head");
		if (rc == 0)
			(void)snprintf(a->report->signer, sizeof(a->report->signer), "%s", r->log->key.name);
	}
	free(own);
	free(r);
	return rc;
}

/* Is every key that signed receipts one that the log names? When its entries that name keys are there. */
static int check_used(const struct audit *a, struct err *e)
{
	bool any = false;

	for (size_t i = 0; i < a->keys; i++)
		any |= a->key[i].role == WIRE__KEY_SET__ROLE__NODE;
	for (size_t i = 0; any && i < a->useds; i++) {
		size_t k = 0;

		while (k < a->keys && (a->key[k].role != WIRE__KEY_SET__ROLE__NODE ||
		                              memcmp(a->key[k].key.key, a->used[i].key, 32) != 0))
			k++;
		if (k == a->keys)
			return err_set(e, ERR_CORRUPT,
			        "the receipts in entry %" PRIu64 " are signed with a key that no entry names",
			        a->used[i].seq);
	}
	return 0;
}

/* ---- all of it ---- */

static int parse_head(struct audit *a, struct err *e)
{
	struct note note;

	if (!a->note)
		return 0;
	if (note_parse(a->note, a->note_n, &note, e) < 0 ||
	        checkpoint_parse(note.text, note.text_n, &a->head, e) < 0)
		return err_wrap(e, "the head");
	a->size = a->head.size;
	if (a->size > a->entries)
		return err_set(e, ERR_CORRUPT, "the head is of %" PRIu64 " entries, and there are %" PRIu64,
		        a->size, a->entries);
	(void)snprintf(
	        a->report->origin, sizeof(a->report->origin), "%.*s", (int)a->head.origin_n, a->head.origin);
	memcpy(a->report->root, a->head.root, 32);
	a->report->size = a->size;
	return 0;
}

static int run(struct audit *a, void *reader, struct err *e)
{
	if (a->s.head(reader, &a->note, &a->note_n, &a->entries, e) < 0 || parse_head(a, e) < 0)
		return -1;
	a->report->entries = a->entries;
	a->root = malloc((a->entries / TILE_WIDTH + 1) * 32);
	a->key = malloc(KEYS_MAX * sizeof(*a->key));
	a->used = malloc(KEYS_MAX * sizeof(*a->used));
	CHECK(a->root && a->key && a->used);
	if (scan_all(a, e) < 0)
		return -1;
	if (a->note && (check_tree(a, reader, e) < 0 || check_head(a, e) < 0))
		return -1;
	return check_used(a, e);
}

static int audit(const struct audit_source *s, const char *dir, const struct audit_options *o,
        struct audit_report *out, struct err *e)
{
	struct audit *a = calloc(1, sizeof(*a));
	void *reader = NULL;
	int rc;

	CHECK(a);
	memset(out, 0, sizeof(*out));
	a->s = *s;
	a->s.dir = dir;
	a->o = o;
	a->report = out;
	atomic_init(&a->next, 0);
	atomic_init(&a->done, 0);
	atomic_init(&a->stop_at, UINT64_MAX);
	(void)pthread_mutex_init(&a->mutex, NULL);
	(void)pthread_cond_init(&a->ended, NULL);
	rc = s->open(dir, &reader, e) < 0 ? -1 : run(a, reader, e);
	s->close(reader);
	(void)pthread_cond_destroy(&a->ended);
	(void)pthread_mutex_destroy(&a->mutex);
	free(a->note);
	free(a->root);
	free(a->key);
	free(a->used);
	free(a);
	return rc;
}

int audit_state(const char *dir, const struct audit_options *o, struct audit_report *out, struct err *e)
{
	return audit(&audit_state_source, dir, o, out, e);
}

int audit_folder(const char *dir, const struct audit_options *o, struct audit_report *out, struct err *e)
{
	return audit(&audit_folder_source, dir, o, out, e);
}
