/* SPDX-License-Identifier: Apache-2.0 */
/* mirror - see mirror.h. */
#include "io/mirror.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/tiletree.h"
#include "io/ed25519.h"
#include "io/sha256.h"

enum { BITS = 8, TILE_BYTES = TILE_WIDTH * 32 };

struct head {
	char *note; /* NULL: none */
	size_t note_n;
	uint64_t size;
	uint8_t root[32];
	char origin[NOTE_NAME_MAX + 1];
};

struct mirror {
	struct mirror_options o;
	struct logdir *dir;
	struct sha256 *sha;
	struct merkle_hash h;
	struct head ours;
	bool swept; /* bundles before the head in hand were looked for */
	/* of the pass under way */
	const struct logsource *source;
	struct mirror_result *result;
	bool from_disk; /* complete tiles that were checked before need not be fetched */
	uint64_t done, total;
	struct tiletree *tree;
	struct policy_result *trust;
};

/* ---- heads ---- */

static void head_release(struct head *h)
{
	free(h->note);
	memset(h, 0, sizeof(*h));
}

/* Believe a checkpoint, or not. `who` begins the message. */
static int check_head(
        struct mirror *m, const char *who, const uint8_t *p, size_t n, struct head *out, struct err *e)
{
	struct note_verifier v = ed25519_verifier();
	struct checkpoint c;
	struct note note;

	if (note_parse((const char *)p, n, &note, e) < 0 ||
	        policy_check(m->o.policy, &note, &v, &c, m->trust, e) < 0)
		return err_wrap(e, "%s", who);
	if (policy_enough(m->trust, e) < 0)
		return err_wrap(e, "%s", who);
	if (c.size > INT64_MAX)
		return err_set(
		        e, ERR_CORRUPT, "%s: %" PRIu64 " entries are more than any log has", who, c.size);
	out->note = malloc(n + 1);
	CHECK(out->note);
	memcpy(out->note, p, n);
	out->note[n] = '\0';
	out->note_n = n;
	out->size = c.size;
	memcpy(out->root, c.root, 32);
	(void)snprintf(out->origin, sizeof(out->origin), "%.*s", (int)c.origin_n, c.origin);
	return 0;
}

int mirror_open(const struct mirror_options *o, struct mirror **out, struct err *e)
{
	struct mirror *m = calloc(1, sizeof(*m));
	uint8_t *note = malloc(NOTE_BYTES_MAX);
	size_t n;
	int rc;

	CHECK(m && note);
	m->o = *o;
	m->sha = sha256_new();
	m->h = sha256_merkle(m->sha);
	m->tree = malloc(sizeof(*m->tree));
	m->trust = malloc(sizeof(*m->trust));
	CHECK(m->tree && m->trust);
	rc = logdir_open(o->dir, LOGDIR_WRITE, &m->dir, e);
	if (rc == 0) {
		rc = logdir_read(m->dir, "checkpoint", note, NOTE_BYTES_MAX, &n, e);
		if (rc == 0)
			rc = check_head(m, "the checkpoint in the folder", note, n, &m->ours, e);
		else if (e->code == ERR_NOTFOUND)
			rc = 0;
	}
	free(note);
	if (rc < 0)
		mirror_close(m);
	else
		*out = m;
	return rc;
}

void mirror_close(struct mirror *m)
{
	if (!m)
		return;
	logdir_close(m->dir);
	sha256_free(m->sha);
	head_release(&m->ours);
	free(m->tree);
	free(m->trust);
	free(m);
}

uint64_t mirror_size(const struct mirror *m)
{
	return m->ours.size;
}

/* ---- tiles of the log, and of the folder ---- */

static int take(const struct tile *t, const uint8_t *p, size_t n, uint8_t (*out)[32], struct err *e)
{
	char path[TILE_PATH_MAX];

	if (n != t->width * (size_t)32 && n != TILE_BYTES) {
		(void)tile_path(t, path);
		return err_set(e, ERR_CORRUPT, "'%s' has %zu bytes, not %u", path, n, t->width * 32);
	}
	memcpy(out, p, t->width * (size_t)32);
	return 0;
}

/* A file of the log. One that grew since its head was signed may be there only as a whole (tlog-tiles): that begins with it. */
static int fetch(
        struct mirror *m, const struct tile *t, size_t max, const uint8_t **out, size_t *n, struct err *e)
{
	char path[TILE_PATH_MAX];
	struct tile full = *t;
	struct err why;

	(void)tile_path(t, path);
	if (m->source->get(m->source->ctx, path, max, out, n, &why) == 0)
		return 0;
	full.width = TILE_WIDTH;
	(void)tile_path(&full, path);
	if (why.code == ERR_NOTFOUND && t->width < TILE_WIDTH &&
	        m->source->get(m->source->ctx, path, t->entries ? max : TILE_BYTES, out, n, e) == 0)
		return 0;
	*e = why;
	return -1;
}

static int get_theirs(void *ctx, const struct tile *t, const uint8_t *want, uint8_t (*out)[32], struct err *e)
{
	struct mirror *m = ctx;
	uint8_t got[32];
	const uint8_t *p;
	size_t n;

	if (m->from_disk && want && logdir_read_tile(m->dir, t, out[0], TILE_BYTES, &n, e) == 0 &&
	        n == TILE_BYTES) {
		tile_root(&m->h, (const uint8_t(*)[32])out, TILE_WIDTH, got);
		if (memcmp(got, want, 32) == 0)
			return 0; /* else writing it will tell */
	}
	return fetch(m, t, t->width * (size_t)32, &p, &n, e) < 0 ? -1 : take(t, p, n, out, e);
}

static int get_ours(void *ctx, const struct tile *t, const uint8_t *want, uint8_t (*out)[32], struct err *e)
{
	struct mirror *m = ctx;
	uint8_t p[TILE_BYTES];
	size_t n;

	(void)want;
	if (logdir_read_tile(m->dir, t, p, sizeof(p), &n, e) < 0)
		return -1;
	return take(t, p, n, out, e);
}

static int open_theirs(struct mirror *m, const struct head *h, struct err *e)
{
	struct tiletree_source s = {get_theirs, m};

	return tiletree_open(m->tree, &m->h, &s, h->size, h->root, e);
}

static int open_ours(struct mirror *m, struct err *e)
{
	struct tiletree_source s = {get_ours, m};

	return tiletree_open(m->tree, &m->h, &s, m->ours.size, m->ours.root, e) < 0
	               ? err_wrap(e, "the tiles in '%.100s'", logdir_path(m->dir))
	               : 0;
}

/* ---- forks ---- */

static int keep(struct mirror *m, const char *name, const void *p, size_t n, struct err *e)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", m->result->evidence, name);
	return logdir_write(m->dir, path, p, n, e);
}

/* The log signed two heads that cannot both be true. The proof leads from the larger tree's root, and not from the smaller one's. */
static int forked(struct mirror *m, const struct head *theirs, const struct proof *proof, struct err *e)
{
	bool older = theirs->size < m->ours.size;
	const struct head *small = older ? theirs : &m->ours, *large = older ? &m->ours : theirs;
	struct addcheckpoint a = {.old = small->size, .note = large->note, .note_n = large->note_n};
	static const char about[] =
	        "The log signed two heads ('ours', 'theirs') of which neither is the beginning of the "
	        "other.\n"
	        "'proof' is a request to a witness (c2sp.org/tlog-witness, add-checkpoint): its hashes lead "
	        "to the root of the\n"
	        "larger head, but not to that of the smaller one. Show it to whoever trusts the log.\n";
	char hex[65], *body;
	int rc;

	if (proof)
		a.path = *proof;
	sha256_hex(theirs->root, hex);
	(void)snprintf(
	        m->result->evidence, sizeof(m->result->evidence), "fork-%" PRIu64 "-%.8s", theirs->size, hex);
	body = malloc(addcheckpoint_size(&a));
	CHECK(body);
	rc = keep(m, "proof", body, addcheckpoint_print(&a, body), e);
	free(body);
	if (rc < 0 || keep(m, "ours", m->ours.note, m->ours.note_n, e) < 0 ||
	        keep(m, "theirs", theirs->note, theirs->note_n, e) < 0 ||
	        keep(m, "README", about, sizeof(about) - 1, e) < 0 || logdir_sync(m->dir, e) < 0)
		return -1;
	m->result->verdict = MIRROR_FORKED;
	return 0;
}

/* Is the tree at hand, of the larger size, a continuation of the smaller head? */
static int check_growth(
        struct mirror *m, const struct head *theirs, const struct head *small, bool *out_same, struct err *e)
{
	struct proof_source s = tiletree_proofs(m->tree);
	struct proof *p;
	uint8_t root[32];
	int rc;

	if (proof_root(&m->h, &s, small->size, root, e) < 0)
		return -1;
	*out_same = memcmp(root, small->root, 32) == 0;
	if (*out_same)
		return 0;
	p = malloc(sizeof(*p));
	CHECK(p);
	rc = proof_consistency(&m->h, &s, small->size, m->tree->size, p, e);
	if (rc == 0)
		rc = forked(m, theirs, p, e);
	free(p);
	return rc;
}

/* ---- storing ---- */

static int step(struct mirror *m, struct err *e)
{
	m->done++;
	if (m->o.progress && m->o.progress(m->o.ctx, m->done, m->total) < 0)
		return err_set(e, ERR_TIMEOUT, "stopped; what was fetched stays");
	return 0;
}

static int store_tile(struct mirror *m, unsigned level, uint64_t index, struct err *e)
{
	struct tile t = {.level = level, .index = index, .width = tile_width(m->tree->size, level, index)};
	const uint8_t(*hash)[32];
	bool there = logdir_has(m->dir, &t);

	if (tiletree_tile(m->tree, level, index, &hash, e) < 0 ||
	        logdir_write_tile(m->dir, &t, hash, t.width * (size_t)32, e) < 0)
		return -1;
	m->result->tiles += !there;
	return step(m, e);
}

/* From the top down: each tile is checked against the one above it. */
static int store_tiles(struct mirror *m, uint64_t old, struct err *e)
{
	for (unsigned level = TILE_LEVELS; level-- > 0;) {
		unsigned shift = BITS * (level + 1);
		uint64_t from = shift < 64 ? old >> shift : 0, to = shift < 64 ? m->tree->size >> shift : 0;

		for (uint64_t n = from; n < to; n++)
			if (store_tile(m, level, n, e) < 0)
				return -1;
		if (tile_width(m->tree->size, level, to) && store_tile(m, level, to, e) < 0)
			return -1;
	}
	return 0;
}

/* Does each entry hash to its leaf? A bundle that grew may have more of them. *out_n: bytes of the first t->width. */
static int check_bundle(
        struct mirror *m, const struct tile *t, const uint8_t *p, size_t n, size_t *out_n, struct err *e)
{
	const uint8_t(*leaf)[32];
	uint64_t seq = t->index * TILE_WIDTH;
	uint8_t got[32];
	size_t at = 0;

	if (tiletree_tile(m->tree, 0, t->index, &leaf, e) < 0)
		return -1;
	for (unsigned i = 0; i < t->width; i++, seq++) {
		const uint8_t *entry;
		size_t len;

		if (!bundle_next(p, n, &at, &entry, &len))
			return err_set(
			        e, ERR_CORRUPT, "the bundle of entry %" PRIu64 " ends before it does", seq);
		merkle_leaf(&m->h, entry, len, got);
		if (memcmp(got, leaf[i], 32) != 0)
			return err_set(e, ERR_CORRUPT,
			        "entry %" PRIu64 " is not what its leaf in the log says", seq);
	}
	*out_n = at;
	return 0;
}

static int store_bundle(struct mirror *m, const struct tile *t, struct err *e)
{
	struct err why;
	const uint8_t *p;
	size_t n;

	if (fetch(m, t, LOG_BUNDLE_MAX, &p, &n, &why) < 0) {
		if (why.code == ERR_NOTFOUND) {
			m->result->expired += t->width;
			return 0;
		}
		m->result->denied = why.code == ERR_DENIED;
		if (m->result->denied)
			return 0;
		*e = why;
		return -1;
	}
	if (check_bundle(m, t, p, n, &n, e) < 0 || logdir_write_tile(m->dir, t, p, n, e) < 0)
		return -1;
	m->result->bundles++;
	return 0;
}

static int store_bundles(struct mirror *m, uint64_t old, struct err *e)
{
	for (uint64_t n = old / TILE_WIDTH; n * TILE_WIDTH < m->tree->size && !m->result->denied; n++) {
		struct tile t = {.entries = true, .index = n, .width = tile_width(m->tree->size, 0, n)};

		if (!logdir_has(m->dir, &t) && store_bundle(m, &t, e) < 0)
			return -1;
		if (step(m, e) < 0)
			return -1;
	}
	return 0;
}

/* All that the head names is in the folder: it is the one in hand from now on. */
static int take_head(struct mirror *m, struct head *theirs, struct err *e)
{
	if (m->ours.note && m->ours.note_n == theirs->note_n &&
	        memcmp(m->ours.note, theirs->note, theirs->note_n) == 0)
		return 0;
	/* What the checkpoint names is on the disk before it. */
	if (logdir_sync(m->dir, e) < 0 ||
	        logdir_write(m->dir, "checkpoint", theirs->note, theirs->note_n, e) < 0 ||
	        logdir_sync(m->dir, e) < 0)
		return -1;
	head_release(&m->ours);
	m->ours = *theirs;
	memset(theirs, 0, sizeof(*theirs));
	return 0;
}

static int store(struct mirror *m, struct head *theirs, struct err *e)
{
	uint64_t old = m->ours.size, bundles_from = m->swept ? old : 0;
	int rc;

	m->total = theirs->size / TILE_WIDTH - old / TILE_WIDTH + TILE_LEVELS;
	if (m->o.what == MIRROR_ALL)
		m->total += (theirs->size + TILE_WIDTH - 1) / TILE_WIDTH - bundles_from / TILE_WIDTH;
	m->from_disk = true;
	rc = store_tiles(m, old, e);
	if (rc == 0 && m->o.what == MIRROR_ALL)
		rc = store_bundles(m, bundles_from, e);
	m->from_disk = false;
	if (rc < 0)
		return -1;
	m->swept = true;
	return take_head(m, theirs, e);
}

/* ---- a pass ---- */

static int decide(struct mirror *m, struct head *theirs, struct err *e)
{
	bool same = true;

	if (m->ours.note && strcmp(m->ours.origin, theirs->origin) != 0)
		return err_set(e, ERR_INVALID, "this is the log '%.80s', and the folder mirrors '%.80s'",
		        theirs->origin, m->ours.origin);
	if (m->ours.note && theirs->size == m->ours.size && memcmp(theirs->root, m->ours.root, 32) != 0)
		return forked(m, theirs, NULL, e);
	if (theirs->size < m->ours.size) {
		if (open_ours(m, e) < 0 || check_growth(m, theirs, theirs, &same, e) < 0)
			return -1;
		m->result->verdict = same ? MIRROR_OLDER : MIRROR_FORKED;
		return 0;
	}
	if (theirs->size == m->ours.size && m->swept && m->ours.note)
		return take_head(m, theirs, e); /* perhaps there are more cosignatures */
	if (open_theirs(m, theirs, e) < 0)
		return -1;
	if (m->ours.size && theirs->size > m->ours.size && check_growth(m, theirs, &m->ours, &same, e) < 0)
		return -1;
	return same ? store(m, theirs, e) : 0;
}

int mirror_pass(struct mirror *m, const struct logsource *s, struct mirror_result *out, struct err *e)
{
	struct head theirs = {0};
	const uint8_t *p;
	size_t n;
	int rc;

	*out = (struct mirror_result){.verdict = MIRROR_GREW, .old = m->ours.size};
	m->source = s;
	m->result = out;
	m->done = m->total = 0;
	rc = s->get(s->ctx, "checkpoint", NOTE_BYTES_MAX, &p, &n, e);
	if (rc == 0)
		rc = check_head(m, "the log's checkpoint", p, n, &theirs, e);
	if (rc == 0) {
		out->size = theirs.size;
		(void)snprintf(out->origin, sizeof(out->origin), "%s", theirs.origin);
		rc = decide(m, &theirs, e);
	}
	head_release(&theirs);
	return rc;
}
