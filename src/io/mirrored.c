/* SPDX-License-Identifier: Apache-2.0 */
/* mirrored - see mirrored.h. */
#include "io/mirrored.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/keyset.h"
#include "core/logpiece.h"
#include "core/tiletree.h"
#include "io/cert.h"
#include "io/disk.h"
#include "io/ed25519.h"
#include "io/logdir.h"
#include "io/logsource.h"
#include "io/sha256.h"

enum { BITS = 8, TILE_BYTES = TILE_WIDTH * 32 };

#define PATH_ROOM 4400u
#define TAKEN_MAX (LOGPIECE_HEAD_MAX + 128u) /* less than cert_file_read() takes */
_Static_assert(TAKEN_MAX <= CERT_PEM_MAX, "what was taken must be readable");

/* What `taken` says. Texts point into `text`. */
struct taken {
	char *text;
	uint64_t bytes, from; /* of complete bundles; from: the index of the first that may be there */
	struct addcheckpoint head;
	struct witness_last top; /* of its note */
};

struct mirrored {
	char *path;
	struct logdir *dir;
	struct sha256 *sha;
	struct merkle_hash h;
	uint64_t size, bytes, from;
	struct merkle_frontier tree;
	uint8_t edge[TILE_LEVELS][TILE_WIDTH][32];
	/* The last bundle, which is not complete. */
	uint8_t *bundle;
	size_t bundle_n, bundle_room;
	bool whole; /* all of its entries are at hand */
};

/* ---- what was taken ---- */

static int read_taken(const char *dir, struct taken *out, struct err *e)
{
	char path[PATH_ROOM];
	struct checkpoint c;
	struct note note;
	int at = 0;
	size_t n;

	memset(out, 0, sizeof(*out));
	(void)snprintf(path, sizeof(path), "%.4300s/taken", dir);
	if (cert_file_read(path, &out->text, &n, e) < 0)
		return -1;
	if (n > TAKEN_MAX ||
	        sscanf(out->text, "osier mirror 1\nbundles %" SCNu64 " from %" SCNu64 "%n", &out->bytes,
	                &out->from, &at) != 2 ||
	        !at || out->text[at] != '\n' ||
	        addcheckpoint_parse(out->text + at + 1, n - (size_t)at - 1, &out->head, NULL) < 0 ||
	        note_parse(out->head.note, out->head.note_n, &note, NULL) < 0 ||
	        checkpoint_parse(note.text, note.text_n, &c, NULL) < 0 || c.size > INT64_MAX ||
	        out->head.old > c.size) {
		free(out->text);
		out->text = NULL;
		return err_set(e, ERR_CORRUPT, "'%.180s' is not what was written", path);
	}
	out->top.size = c.size;
	memcpy(out->top.root, c.root, 32);
	return 0;
}

static int write_taken(struct mirrored *m, const char *head, size_t n, struct err *e)
{
	char path[PATH_ROOM], *text = malloc(n + 128);
	int at, rc;

	CHECK(text);
	at = snprintf(text, 128, "osier mirror 1\nbundles %" PRIu64 " from %" PRIu64 "\n", m->bytes, m->from);
	memcpy(text + at, head, n);
	(void)snprintf(path, sizeof(path), "%.4300s/taken", m->path);
	rc = cert_file_write(path, text, (size_t)at + n, 0600, e);
	free(text);
	return rc;
}

/* ---- opening ---- */

static unsigned edge_width(uint64_t size, unsigned level)
{
	return (unsigned)(size >> (BITS * level)) % TILE_WIDTH;
}

static uint64_t edge_index(uint64_t size, unsigned level)
{
	return level == TILE_LEVELS - 1 ? 0 : size >> (BITS * (level + 1));
}

static int damaged(const struct mirrored *m, struct err *e)
{
	(void)err_set(e, ERR_CORRUPT, "the mirror in '%.150s' is not what was written", m->path);
	return err_hint(e, "'osier ledger audit DIR' says what differs; move it away, and it begins anew");
}

static int load_edge(struct mirrored *m, struct err *e)
{
	uint8_t p[TILE_BYTES];
	struct err why;
	size_t n;

	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		struct tile t = {.level = level,
		        .index = edge_index(m->size, level),
		        .width = edge_width(m->size, level)};

		if (!t.width)
			continue;
		if (logdir_read_tile(m->dir, &t, p, sizeof(p), &n, &why) < 0 ||
		        (n != t.width * (size_t)32 && n != TILE_BYTES))
			return damaged(m, e);
		memcpy(m->edge[level], p, t.width * (size_t)32);
	}
	return 0;
}

/* The complete subtrees, largest first, are runs of 2^k hashes in the tiles of the edge. */
static void load_tree(struct mirrored *m)
{
	unsigned n = 0;

	m->tree.size = m->size;
	for (unsigned level = TILE_LEVELS; level-- > 0;) {
		unsigned width = edge_width(m->size, level), at = 0;

		for (unsigned run = TILE_WIDTH / 2; run; run /= 2) {
			if (!(width & run))
				continue;
			tile_root(&m->h, (const uint8_t(*)[32])m->edge[level] + at, run, m->tree.hash[n++]);
			at += run;
		}
	}
	CHECK(n == merkle_count(&m->tree));
}

static void bundle_add(struct mirrored *m, const void *p, size_t n)
{
	if (m->bundle_n + n > m->bundle_room) {
		m->bundle_room = 2 * (m->bundle_n + n);
		m->bundle = realloc(m->bundle, m->bundle_room);
		CHECK(m->bundle);
	}
	memcpy(m->bundle + m->bundle_n, p, n);
	m->bundle_n += n;
}

/* The bundle that is to go on, unless some of it was dropped. */
static int load_bundle(struct mirrored *m, struct err *e)
{
	struct tile t = {
	        .entries = true, .index = m->size / TILE_WIDTH, .width = (unsigned)(m->size % TILE_WIDTH)};
	uint64_t bytes, mtime;
	uint8_t leaf[32], *p;
	size_t n, at = 0, len;
	const uint8_t *entry;

	m->whole = true;
	if (!t.width)
		return 0;
	m->whole = logdir_size(m->dir, &t, &bytes, &mtime) && bytes <= LOG_BUNDLE_MAX;
	if (!m->whole)
		return 0;
	p = malloc(bytes + 1);
	CHECK(p);
	if (logdir_read_tile(m->dir, &t, p, bytes, &n, e) < 0) {
		free(p);
		return -1;
	}
	for (unsigned i = 0; i < t.width; i++) {
		if (!bundle_next(p, n, &at, &entry, &len)) {
			at = n + 1;
			break;
		}
		merkle_leaf(&m->h, entry, len, leaf);
		if (memcmp(leaf, m->edge[0][i], 32) != 0)
			at = n + 1;
	}
	if (at == n)
		bundle_add(m, p, n);
	free(p);
	return at == n ? 0 : damaged(m, e);
}

static int load(struct mirrored *m, struct err *e)
{
	struct taken t;
	uint8_t root[32];
	struct err why;
	int rc;

	m->whole = true;
	merkle_init(&m->tree);
	if (read_taken(m->path, &t, &why) < 0) {
		if (why.code == ERR_NOTFOUND)
			return 0;
		*e = why;
		return -1;
	}
	m->size = t.head.old;
	m->bytes = t.bytes;
	m->from = t.from;
	rc = load_edge(m, e);
	if (rc == 0) {
		load_tree(m);
		merkle_root(&m->tree, &m->h, root);
		if (proof_consistency_verify(&m->h, m->size, root, t.top.size, t.top.root,
		            (const uint8_t(*)[32])t.head.path.hash, t.head.path.n, &why) < 0)
			rc = damaged(m, e);
	}
	if (rc == 0)
		rc = load_bundle(m, e);
	free(t.text);
	return rc;
}

int mirrored_open(const char *dir, struct mirrored **out, struct err *e)
{
	struct mirrored *m = calloc(1, sizeof(*m));
	int rc;

	CHECK(m);
	m->sha = sha256_new();
	m->h = sha256_merkle(m->sha);
	m->path = strdup(dir);
	CHECK(m->path);
	rc = logdir_open(dir, LOGDIR_WRITE, &m->dir, e);
	if (rc == 0)
		rc = load(m, e);
	if (rc < 0)
		mirrored_close(m);
	else
		*out = m;
	return rc;
}

void mirrored_close(struct mirrored *m)
{
	if (!m)
		return;
	logdir_close(m->dir);
	sha256_free(m->sha);
	free(m->bundle);
	free(m->path);
	free(m);
}

uint64_t mirrored_size(const struct mirrored *m)
{
	return m->size;
}

/* ---- the bound ---- */

/* 32 bytes for each leaf, and for each 256 of what is below. */
static uint64_t hash_bytes(uint64_t size)
{
	return size * 32 + size / 7;
}

/* Is the oldest bundle to go? It is there, or was. */
static bool too_much(
        const struct mirrored *m, const struct mirrored_limits *l, uint64_t bytes, uint64_t mtime)
{
	return hash_bytes(m->size) + m->bytes > l->bytes_max ||
	       (bytes && l->age_s && mtime + l->age_s < l->now_s);
}

static bool sweep(struct mirrored *m, const struct mirrored_limits *l)
{
	uint64_t first = m->from;

	while (m->from < m->size / TILE_WIDTH) {
		struct tile t = {.entries = true, .index = m->from, .width = TILE_WIDTH};
		uint64_t bytes = 0, mtime = 0;
		bool there = logdir_size(m->dir, &t, &bytes, &mtime);

		if (there && !too_much(m, l, bytes, mtime))
			break;
		if (there)
			logdir_drop(m->dir, &t);
		m->bytes -= bytes < m->bytes ? bytes : m->bytes;
		m->from++;
	}
	return m->from != first;
}

int mirrored_sweep(struct mirrored *m, const struct mirrored_limits *l, struct err *e)
{
	struct taken t;
	size_t n;
	char *text;
	int rc;

	if (m->size == 0 || !sweep(m, l))
		return 0;
	if (read_taken(m->path, &t, e) < 0)
		return -1;
	text = malloc(addcheckpoint_size(&t.head));
	CHECK(text);
	n = addcheckpoint_print(&t.head, text);
	rc = write_taken(m, text, n, e);
	free(text);
	free(t.text);
	return rc;
}

/* ---- taking ---- */

/* Is the piece one that goes on from here, under that head? And do its entries lead to it? *out: the tree with them. */
static int verify(struct mirrored *m, const struct logpiece *p, const struct policy *keys,
        const struct witness_last *cosigned, struct merkle_frontier *out, struct err *e)
{
	struct note_verifier v = ed25519_verifier();
	struct policy_result *trust = malloc(sizeof(*trust));
	struct logpiece_item item;
	struct checkpoint c;
	struct note note;
	uint8_t hash[32];
	size_t at = 0;
	int rc;

	CHECK(trust);
	rc = note_parse(p->head.note, p->head.note_n, &note, e);
	if (rc == 0)
		rc = policy_check(keys, &note, &v, &c, trust, e);
	free(trust);
	if (rc < 0)
		return err_wrap(e, "its head");
	if (p->from != m->size)
		return err_set(e, ERR_EXISTS,
		        "it begins with entry %" PRIu64 ", and the mirror goes on with %" PRIu64, p->from,
		        m->size);
	if (c.size != cosigned->size || memcmp(c.root, cosigned->root, 32) != 0)
		return err_set(e, ERR_DENIED,
		        "its head of %" PRIu64 " entries is not the one of %" PRIu64
		        " that was cosigned here",
		        c.size, cosigned->size);
	*out = m->tree;
	while (logpiece_next(p, &at, &item)) {
		if (item.bytes)
			merkle_leaf(&m->h, item.bytes, item.n, hash);
		merkle_append(out, &m->h, item.bytes ? hash : item.leaf);
	}
	merkle_root(out, &m->h, hash);
	if (proof_consistency_verify(&m->h, out->size, hash, c.size, c.root,
	            (const uint8_t(*)[32])p->head.path.hash, p->head.path.n, NULL) < 0)
		return err_set(e, ERR_CORRUPT,
		        "its entries %" PRIu64 " to %" PRIu64
		        " are not those that its signed head of %" PRIu64 " says",
		        p->from, p->from + p->count - 1, c.size);
	return 0;
}

static int write_tile(struct mirrored *m, const struct tile *t, const void *p, size_t n, struct err *e)
{
	char path[TILE_PATH_MAX];

	(void)tile_path(t, path);
	return logdir_write(m->dir, path, p, n, e);
}

/* One more hash of a level; a tile that it completes is one of the level above. m->size is that before it, at level 0. */
static int add_hash(struct mirrored *m, unsigned level, const uint8_t hash[32], struct err *e)
{
	struct tile t = {.level = level, .index = edge_index(m->size, level), .width = TILE_WIDTH};
	unsigned width = edge_width(m->size, level);
	uint8_t root[32];

	memcpy(m->edge[level][width], hash, 32);
	if (width + 1 < TILE_WIDTH)
		return 0;
	if (write_tile(m, &t, m->edge[level], TILE_BYTES, e) < 0)
		return -1;
	tile_root(&m->h, (const uint8_t(*)[32])m->edge[level], TILE_WIDTH, root);
	CHECK(level + 1 < TILE_LEVELS);
	return add_hash(m, level + 1, root, e);
}

static int add_entry(struct mirrored *m, const struct logpiece_item *item, struct err *e)
{
	uint8_t length[2] = {(uint8_t)(item->n >> 8), (uint8_t)item->n}, leaf[32];
	struct tile t = {.entries = true, .index = m->size / TILE_WIDTH, .width = TILE_WIDTH};

	if (item->bytes)
		merkle_leaf(&m->h, item->bytes, item->n, leaf);
	if (add_hash(m, 0, item->bytes ? leaf : item->leaf, e) < 0)
		return -1;
	m->whole = m->whole && item->bytes;
	if (m->whole) {
		bundle_add(m, length, 2);
		bundle_add(m, item->bytes, item->n);
	}
	m->size++;
	if (m->size % TILE_WIDTH)
		return 0;
	if (m->whole && write_tile(m, &t, m->bundle, m->bundle_n, e) < 0)
		return -1;
	m->bytes += m->whole ? m->bundle_n : 0;
	m->bundle_n = 0;
	m->whole = true;
	return 0;
}

/* Tiles and the bundle that are not complete, as wide as they are now. */
static int write_edge(struct mirrored *m, uint64_t old, struct err *e)
{
	struct tile t = {
	        .entries = true, .index = m->size / TILE_WIDTH, .width = (unsigned)(m->size % TILE_WIDTH)};

	if (t.width && m->whole && write_tile(m, &t, m->bundle, m->bundle_n, e) < 0)
		return -1;
	t.entries = false;
	for (t.level = 0; t.level < TILE_LEVELS; t.level++) {
		t.index = edge_index(m->size, t.level);
		t.width = edge_width(m->size, t.level);
		if (!t.width || (t.index == edge_index(old, t.level) && t.width == edge_width(old, t.level)))
			continue;
		if (write_tile(m, &t, m->edge[t.level], t.width * (size_t)32, e) < 0)
			return -1;
	}
	return 0;
}

/* Partial ones that nobody needs any more: of tiles that are complete now, and, when the checkpoint is that of all that is here, of all. */
static void clean(struct mirrored *m, uint64_t old, bool all)
{
	struct tile t = {.entries = true, .index = old / TILE_WIDTH, .width = TILE_WIDTH};

	if (old % TILE_WIDTH && old / TILE_WIDTH < m->size / TILE_WIDTH)
		logdir_drop_others(m->dir, &t);
	t.index = m->size / TILE_WIDTH;
	t.width = (unsigned)(m->size % TILE_WIDTH);
	if (all && t.width)
		logdir_drop_others(m->dir, &t);
	t.entries = false;
	for (t.level = 0; t.level < TILE_LEVELS; t.level++) {
		t.index = edge_index(old, t.level);
		t.width = TILE_WIDTH;
		if (edge_width(old, t.level) && t.index < edge_index(m->size, t.level))
			logdir_drop_others(m->dir, &t);
		t.index = edge_index(m->size, t.level);
		t.width = edge_width(m->size, t.level);
		if (all && t.width)
			logdir_drop_others(m->dir, &t);
	}
}

static int check_room(struct mirrored *m, const struct logpiece *p, size_t n, const struct mirrored_limits *l,
        struct err *e)
{
	if (hash_bytes(m->size + p->count) > l->bytes_max) {
		(void)err_set(e, ERR_FULL,
		        "the hashes of %" PRIu64 " entries alone fill the %" PRIu64
		        " bytes that a mirror may have",
		        m->size + p->count, l->bytes_max);
		return err_hint(e, "on the hub: ledger: {fabric: {mirror: SIZE}} in config.yaml");
	}
	return disk_room(m->path, 2 * n, l->reserve_bytes, e);
}

/* Whoever reads the folder later is to know whom it was believed from. */
static int keep_policy(struct mirrored *m, const struct policy *keys, struct err *e)
{
	char path[PATH_ROOM], text[KEYSET_SIGNERS * (NOTE_VKEY_MAX + 8) + 32], vkey[NOTE_VKEY_MAX],
	        *was = NULL;
	size_t n = 0, was_n = 0;
	int rc = 0;

	for (unsigned i = 0; i < keys->logs && i < KEYSET_SIGNERS; i++) {
		note_key_print(&keys->log[i].key, vkey);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "log %s\n", vkey);
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n, "quorum none\n");
	(void)snprintf(path, sizeof(path), "%.4300s/trust.policy", m->path);
	if (cert_file_read(path, &was, &was_n, NULL) < 0 || was_n != n || memcmp(was, text, n) != 0)
		rc = cert_file_write(path, text, n, 0600, e);
	free(was);
	return rc;
}

/* The piece is believed. */
static int store(struct mirrored *m, const struct logpiece *p, const struct policy *keys,
        const struct mirrored_limits *l, struct err *e)
{
	uint64_t old = m->size, top;
	struct logpiece_item item;
	char path[PATH_ROOM];
	struct checkpoint c;
	struct note note;
	size_t at = 0;

	while (logpiece_next(p, &at, &item))
		if (add_entry(m, &item, e) < 0)
			return -1;
	if (keep_policy(m, keys, e) < 0 || write_edge(m, old, e) < 0 || logdir_sync(m->dir, e) < 0)
		return -1;
	(void)sweep(m, l);
	CHECK(note_parse(p->head.note, p->head.note_n, &note, NULL) == 0 &&
	        checkpoint_parse(note.text, note.text_n, &c, NULL) == 0);
	top = c.size;
	if (write_taken(m, p->head_text, p->head_n, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%.4300s/checkpoint", m->path);
	if (m->size == top && cert_file_write(path, p->head.note, p->head.note_n, 0600, e) < 0)
		return -1;
	clean(m, old, m->size == top);
	return 0;
}

int mirrored_take(struct mirrored *m, const void *bytes, size_t n, const struct policy *keys,
        const struct witness_last *cosigned, const struct mirrored_limits *l, struct err *e)
{
	struct merkle_frontier tree;
	struct logpiece p;

	if (logpiece_parse(bytes, n, &p, e) < 0 || verify(m, &p, keys, cosigned, &tree, e) < 0 ||
	        check_room(m, &p, n, l, e) < 0 || store(m, &p, keys, l, e) < 0)
		return -1;
	m->tree = tree;
	CHECK(m->tree.size == m->size);
	return 0;
}

/* ---- looking ---- */

int mirrored_look(const char *dir, struct mirrored_seen *out, struct err *e)
{
	struct taken t;

	if (read_taken(dir, &t, e) < 0)
		return -1;
	*out = (struct mirrored_seen){.size = t.head.old,
	        .bytes = t.bytes,
	        .from = t.from * TILE_WIDTH,
	        .note = strndup(t.head.note, t.head.note_n),
	        .note_n = t.head.note_n,
	        .head = t.top};
	CHECK(out->note);
	free(t.text);
	return 0;
}

void mirrored_seen_release(struct mirrored_seen *s)
{
	free(s->note);
	memset(s, 0, sizeof(*s));
}

void mirrored_name(const char *node, const char *origin, char out[MIRRORED_NAME])
{
	char hex[SHA256_HEX + 1];
	uint8_t digest[32];

	sha256_of(origin, strlen(origin), digest);
	sha256_hex(digest, hex);
	(void)snprintf(out, MIRRORED_NAME, "%.63s-%.8s", node, hex);
}

/* ---- for witnesses ---- */

static int get_tile(void *ctx, const struct tile *t, const uint8_t *want, uint8_t (*out)[32], struct err *e)
{
	uint8_t p[TILE_BYTES];
	size_t n;

	(void)want;
	if (logdir_read_tile(ctx, t, p, sizeof(p), &n, e) < 0)
		return -1;
	if (n != t->width * (size_t)32 && n != TILE_BYTES)
		return err_set(e, ERR_CORRUPT, "a tile has %zu bytes", n);
	memcpy(out, p, t->width * (size_t)32);
	return 0;
}

static int prove(struct logdir *d, uint64_t old, const struct checkpoint *c, struct proof *out)
{
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	struct tiletree_source s = {get_tile, d};
	struct tiletree *t = malloc(sizeof(*t));
	struct proof_source proofs;
	int rc;

	CHECK(t);
	rc = tiletree_open(t, &h, &s, c->size, c->root, NULL);
	if (rc == 0) {
		proofs = tiletree_proofs(t);
		rc = proof_consistency(&h, &proofs, old, c->size, out, NULL);
	}
	free(t);
	sha256_free(sha);
	return rc;
}

char *mirrored_request(const char *dir, uint64_t old, size_t *out_n, struct witness_last *out_head)
{
	char *text = malloc(NOTE_BYTES_MAX), *out = NULL;
	struct addcheckpoint a = {.old = old, .note = text};
	struct logdir *d = NULL;
	struct checkpoint c;
	struct note note;

	CHECK(text);
	if (logdir_open(dir, LOGDIR_READ, &d, NULL) == 0 &&
	        logdir_read(d, "checkpoint", (uint8_t *)text, NOTE_BYTES_MAX, &a.note_n, NULL) == 0 &&
	        note_parse(text, a.note_n, &note, NULL) == 0 &&
	        checkpoint_parse(note.text, note.text_n, &c, NULL) == 0 && c.size > old &&
	        c.size <= INT64_MAX && prove(d, old, &c, &a.path) == 0) {
		out = malloc(addcheckpoint_size(&a) + 1);
		CHECK(out);
		*out_n = addcheckpoint_print(&a, out);
		out[*out_n] = '\0';
		out_head->size = c.size;
		memcpy(out_head->root, c.root, 32);
	}
	logdir_close(d);
	free(text);
	return out;
}
