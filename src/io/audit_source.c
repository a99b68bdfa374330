/* SPDX-License-Identifier: Apache-2.0 */
/* audit_source - where the bytes of an audit lie: see audit_int.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/audit_int.h"
#include "io/logdir.h"
#include "io/logsource.h"
#include "io/sha256.h"

/* ---- a state folder ---- */

struct state_reader {
	char *dir;
	struct journal_reader *journal;
	struct logstore *store; /* opened when it is needed */
};

static void state_close(void *reader)
{
	struct state_reader *r = reader;

	if (!r)
		return;
	journal_reader_close(r->journal);
	logstore_close(r->store);
	free(r->dir);
	free(r);
}

static int state_open(const char *dir, void **out, struct err *e)
{
	struct state_reader *r = calloc(1, sizeof(*r));

	CHECK(r);
	r->dir = strdup(dir);
	CHECK(r->dir);
	if (journal_reader_open(dir, &r->journal, e) < 0) {
		state_close(r);
		return -1;
	}
	*out = r;
	return 0;
}

static int state_scan(
        void *reader, uint64_t from, uint64_t to, audit_entry_fn *each, void *ctx, struct err *e)
{
	struct state_reader *r = reader;

	return journal_audit(r->journal, from, to, each, ctx, e);
}

static int state_leaves(void *reader, uint64_t from, uint64_t n, uint8_t (*out)[32], struct err *e)
{
	struct state_reader *r = reader;

	return journal_read_leaves(r->journal, from, n, out, e);
}

static int state_store(struct state_reader *r, struct err *e)
{
	return r->store ? 0 : logstore_open(r->dir, NULL, true, &r->store, e);
}

static int state_hashes(
        void *reader, unsigned level, uint64_t first, uint64_t n, uint8_t (*out)[32], struct err *e)
{
	struct state_reader *r = reader;

	return state_store(r, e) < 0 ? -1 : logstore_hashes(r->store, level, first, n, out, e);
}

static int state_head(void *reader, char **out_note, size_t *out_n, uint64_t *out_entries, struct err *e)
{
	struct state_reader *r = reader;
	struct log_head head = {0};
	struct err why;

	*out_note = NULL;
	if (state_store(r, &why) < 0 || logstore_head(r->store, &head, &why) < 0) {
		if (why.code != ERR_NOTFOUND) {
			*e = why;
			return -1;
		}
		head.note_n = 0;
	}
	/* After the head: the journal is never shorter than what was signed. */
	if (journal_read_size(r->journal, out_entries, e) < 0)
		return -1;
	if (head.note_n) {
		*out_note = strndup(head.note, head.note_n);
		CHECK(*out_note);
	}
	*out_n = head.note_n;
	return 0;
}

const struct audit_source audit_state_source = {.open = state_open,
        .close = state_close,
        .scan = state_scan,
        .leaves = state_leaves,
        .hashes = state_hashes,
        .head = state_head};

/* ---- a log as a folder ---- */

struct folder_reader {
	struct logdir *dir;
	struct sha256 *sha;
	uint64_t size;
	uint8_t hash[TILE_WIDTH][32];
	uint8_t *bundle;
};

static void folder_close(void *reader)
{
	struct folder_reader *r = reader;

	if (!r)
		return;
	logdir_close(r->dir);
	sha256_free(r->sha);
	free(r->bundle);
	free(r);
}

static int folder_head(void *reader, char **out_note, size_t *out_n, uint64_t *out_entries, struct err *e)
{
	struct folder_reader *r = reader;
	uint8_t *p = malloc(NOTE_BYTES_MAX + 1);
	struct checkpoint c;
	struct note note;

	CHECK(p);
	*out_note = NULL;
	if (logdir_read(r->dir, "checkpoint", p, NOTE_BYTES_MAX, out_n, e) < 0 ||
	        note_parse((char *)p, *out_n, &note, e) < 0 ||
	        checkpoint_parse(note.text, note.text_n, &c, e) < 0) {
		free(p);
		return err_wrap(e, "the checkpoint in '%.100s'", logdir_path(r->dir));
	}
	*out_note = (char *)p;
	*out_entries = r->size = c.size;
	return c.size <= INT64_MAX ? 0
	                           : err_set(e, ERR_CORRUPT, "the checkpoint has more entries than any log");
}

static int folder_open(const char *dir, void **out, struct err *e)
{
	struct folder_reader *r = calloc(1, sizeof(*r));
	uint64_t entries;
	char *note = NULL;
	size_t n;
	int rc;

	CHECK(r);
	r->sha = sha256_new();
	r->bundle = malloc(LOG_BUNDLE_MAX);
	CHECK(r->bundle);
	rc = logdir_open(dir, LOGDIR_READ, &r->dir, e);
	if (rc == 0)
		rc = folder_head(r, &note, &n, &entries, e);
	free(note);
	if (rc < 0)
		folder_close(r);
	else
		*out = r;
	return rc;
}

static int read_tile(struct folder_reader *r, unsigned level, uint64_t index, struct err *e)
{
	struct tile t = {.level = level, .index = index, .width = tile_width(r->size, level, index)};
	char path[TILE_PATH_MAX];
	size_t n;

	CHECK(t.width > 0);
	if (logdir_read_tile(r->dir, &t, r->hash[0], sizeof(r->hash), &n, e) < 0)
		return -1;
	if (n == t.width * (size_t)32 || n == sizeof(r->hash))
		return 0;
	(void)tile_path(&t, path);
	return err_set(e, ERR_CORRUPT, "'%s' has %zu bytes, not %u", path, n, t.width * 32);
}

static int folder_hashes(
        void *reader, unsigned level, uint64_t first, uint64_t n, uint8_t (*out)[32], struct err *e)
{
	struct folder_reader *r = reader;

	while (n) {
		uint64_t at = first % TILE_WIDTH, k = TILE_WIDTH - at < n ? TILE_WIDTH - at : n;

		if (read_tile(r, level, first / TILE_WIDTH, e) < 0)
			return -1;
		memcpy(out, r->hash[at], k * 32);
		out += k;
		first += k;
		n -= k;
	}
	return 0;
}

static int folder_leaves(void *reader, uint64_t from, uint64_t n, uint8_t (*out)[32], struct err *e)
{
	return folder_hashes(reader, 0, from, n, out, e);
}

/* The entries of a bundle, hashed; `p` NULL: it is not there. */
static int scan_bundle(struct folder_reader *r, uint64_t first, unsigned width, const uint8_t *p, size_t n,
        audit_entry_fn *each, void *ctx, struct err *e)
{
	struct merkle_hash h = sha256_merkle(r->sha);
	uint8_t got[32];
	size_t at = 0;

	for (unsigned i = 0; i < width; i++) {
		const uint8_t *entry = NULL;
		size_t len = 0;

		if (p && !bundle_next(p, n, &at, &entry, &len))
			return err_set(e, ERR_CORRUPT, "the bundle of entry %" PRIu64 " ends before it does",
			        first + i);
		if (p) {
			merkle_leaf(&h, entry, len, got);
			if (memcmp(got, r->hash[i], 32) != 0)
				return err_set(e, ERR_CORRUPT, "entry %" PRIu64 " is not what its leaf says",
				        first + i);
		}
		if (each(ctx, first + i, r->hash[i], entry, len, e) < 0)
			return -1;
	}
	return p && at < n && width == TILE_WIDTH
	               ? err_set(e, ERR_CORRUPT,
	                         "there is more than its entries in the bundle of entry %" PRIu64, first)
	               : 0;
}

static int folder_scan(
        void *reader, uint64_t from, uint64_t to, audit_entry_fn *each, void *ctx, struct err *e)
{
	struct folder_reader *r = reader;

	for (; from < to; from += TILE_WIDTH) {
		struct tile t = {.entries = true, .index = from / TILE_WIDTH};
		struct err why;
		size_t n = 0;
		bool there;

		t.width = tile_width(r->size, 0, t.index);
		if (read_tile(r, 0, t.index, e) < 0)
			return -1;
		there = logdir_read_tile(r->dir, &t, r->bundle, LOG_BUNDLE_MAX, &n, &why) == 0;
		if (!there && why.code != ERR_NOTFOUND) {
			*e = why;
			return -1;
		}
		if (scan_bundle(r, from, t.width, there ? r->bundle : NULL, n, each, ctx, e) < 0)
			return -1;
	}
	return 0;
}

const struct audit_source audit_folder_source = {.open = folder_open,
        .close = folder_close,
        .scan = folder_scan,
        .leaves = folder_leaves,
        .hashes = folder_hashes,
        .head = folder_head};
