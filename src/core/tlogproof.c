/* SPDX-License-Identifier: Apache-2.0 */
/* tlogproof - see tlogproof.h. */
#include "core/tlogproof.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"

static const char magic[] = "c2sp.org/tlog-proof@v1\n";
enum { HASH_B64 = BASE64_CHARS(32) };

struct cursor {
	const char *p;
	size_t n;
};

/* The next line without its newline; false: none ends. */
static bool line(struct cursor *c, struct cursor *out)
{
	const char *nl = memchr(c->p, '\n', c->n);

	if (!nl)
		return false;
	*out = (struct cursor){c->p, (size_t)(nl - c->p)};
	c->n -= out->n + 1;
	c->p = nl + 1;
	return true;
}

static bool begins(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	if (c->n < n || memcmp(c->p, word, n) != 0)
		return false;
	c->p += n;
	c->n -= n;
	return true;
}

static bool number(const struct cursor *c, uint64_t *out)
{
	uint64_t v = 0;

	if (c->n == 0 || c->n > 20 || (c->p[0] == '0' && c->n > 1))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (c->p[i] < '0' || c->p[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
		        __builtin_add_overflow(v, (uint64_t)(c->p[i] - '0'), &v))
			return false;
	*out = v;
	return true;
}

/* Hashes, one a line, up to and with an empty line. */
static int hashes(struct cursor *c, struct proof *out, struct err *e)
{
	struct cursor l;

	out->n = 0;
	while (line(c, &l)) {
		if (l.n == 0)
			return 0;
		if (out->n == PROOF_MAX - 1)
			return err_set(e, ERR_INVALID, "a proof of more than %d hashes", PROOF_MAX - 1);
		if (base64_read(l.p, l.n, out->hash[out->n], 32) != 32)
			return err_set(
			        e, ERR_INVALID, "hash %u of the proof is not 32 bytes in base64", out->n + 1);
		out->n++;
	}
	return err_set(e, ERR_INVALID, "the proof breaks off: there is no empty line after its hashes");
}

static char *put(char *at, const char *p, size_t n)
{
	memcpy(at, p, n);
	return at + n;
}

static char *put_hashes(char *at, const struct proof *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		at += base64_write(p->hash[i], 32, at);
		*at++ = '\n';
	}
	*at++ = '\n';
	return at;
}

/* ---- offline receipts ---- */

/* Is it base64 of no more than TLOGPROOF_EXTRA_MAX bytes? Looked at in pieces, since all of it is nobody's need. */
static bool extra_ok(const struct cursor *c)
{
	uint8_t bytes[48];

	if (c->n == 0 || c->n % 4 != 0 || c->n > BASE64_CHARS(TLOGPROOF_EXTRA_MAX))
		return false;
	for (size_t i = 0; i < c->n; i += 64) {
		size_t n = c->n - i < 64 ? c->n - i : 64;
		long got = base64_read(c->p + i, n, bytes, sizeof(bytes));

		if (got < 0 || (got != 48 && i + n != c->n))
			return false;
	}
	return true;
}

int tlogproof_parse(const char *bytes, size_t n, struct tlogproof *out, struct err *e)
{
	struct cursor c = {bytes, n}, l;

	memset(out, 0, sizeof(*out));
	if (n > TLOGPROOF_BYTES_MAX)
		return err_set(e, ERR_INVALID, "a proof of more than %u KiB", TLOGPROOF_BYTES_MAX / 1024);
	if (!begins(&c, magic))
		return err_set(e, ERR_INVALID, "not a proof: the first line must be %.22s", magic);
	if (!line(&c, &l))
		return err_set(e, ERR_INVALID, "the proof breaks off after its first line");
	if (begins(&l, "extra ")) {
		if (!extra_ok(&l))
			return err_set(
			        e, ERR_INVALID, "what follows 'extra' is not base64 of at most 48 MiB");
		out->extra = l.p;
		out->extra_n = l.n;
		if (!line(&c, &l))
			return err_set(e, ERR_INVALID, "the proof breaks off after its extra data");
	}
	if (!begins(&l, "index ") || !number(&l, &out->index))
		return err_set(e, ERR_INVALID, "there is no line 'index' with a decimal number");
	if (hashes(&c, &out->path, e) < 0)
		return -1;
	if (c.n == 0)
		return err_set(e, ERR_INVALID, "the proof has no checkpoint");
	out->note = c.p;
	out->note_n = c.n;
	return 0;
}

size_t tlogproof_size(const struct tlogproof *p)
{
	return sizeof(magic) + 6 + p->extra_n + 1 + 6 + 20 + 1 + p->path.n * (size_t)(HASH_B64 + 1) + 1 +
	       p->note_n;
}

size_t tlogproof_print(const struct tlogproof *p, char *out)
{
	char *at = put(out, magic, sizeof(magic) - 1);

	if (p->extra) {
		at = put(at, "extra ", 6);
		at = put(at, p->extra, p->extra_n);
		*at++ = '\n';
	}
	at += snprintf(at, 6 + 20 + 2, "index %" PRIu64 "\n", p->index);
	at = put_hashes(at, &p->path);
	at = put(at, p->note, p->note_n);
	return (size_t)(at - out);
}

/* ---- witnesses ---- */

int addcheckpoint_parse(const char *bytes, size_t n, struct addcheckpoint *out, struct err *e)
{
	struct cursor c = {bytes, n}, l;

	memset(out, 0, sizeof(*out));
	if (!line(&c, &l) || !begins(&l, "old ") || !number(&l, &out->old))
		return err_set(e, ERR_INVALID, "the first line must be 'old' and a decimal number");
	if (hashes(&c, &out->path, e) < 0)
		return -1;
	if (c.n == 0)
		return err_set(e, ERR_INVALID, "there is no checkpoint after the proof");
	out->note = c.p;
	out->note_n = c.n;
	return 0;
}

size_t addcheckpoint_size(const struct addcheckpoint *a)
{
	return 4 + 20 + 2 + a->path.n * (size_t)(HASH_B64 + 1) + 1 + a->note_n;
}

size_t addcheckpoint_print(const struct addcheckpoint *a, char *out)
{
	char *at = out + snprintf(out, 4 + 20 + 2, "old %" PRIu64 "\n", a->old);

	at = put_hashes(at, &a->path);
	at = put(at, a->note, a->note_n);
	return (size_t)(at - out);
}

/* ---- tiles ---- */

unsigned tile_width(uint64_t size, unsigned level, uint64_t index)
{
	uint64_t hashes_there = level >= 8 ? 0 : size >> (8 * level), first;

	if (__builtin_mul_overflow(index, (uint64_t)TILE_WIDTH, &first) || first >= hashes_there)
		return 0;
	return hashes_there - first < TILE_WIDTH ? (unsigned)(hashes_there - first) : TILE_WIDTH;
}

size_t tile_path(const struct tile *t, char out[TILE_PATH_MAX])
{
	unsigned group[7], groups = 0;
	uint64_t left = t->index;
	int n;

	CHECK(t->level <= TILE_LEVEL_MAX && t->width >= 1 && t->width <= TILE_WIDTH);
	do {
		group[groups++] = (unsigned)(left % 1000);
		left /= 1000;
	} while (left);
	n = t->entries ? snprintf(out, TILE_PATH_MAX, "tile/entries")
	               : snprintf(out, TILE_PATH_MAX, "tile/%u", t->level);
	while (groups--)
		n += snprintf(
		        out + n, TILE_PATH_MAX - (size_t)n, "/%s%03u", groups ? "x" : "", group[groups]);
	if (t->width < TILE_WIDTH)
		n += snprintf(out + n, TILE_PATH_MAX - (size_t)n, ".p/%u", t->width);
	return (size_t)n;
}

static int no_tile(struct err *e)
{
	return err_set(e, ERR_INVALID,
	        "not the path of a tile: tile/LEVEL/INDEX[.p/WIDTH] or tile/entries/INDEX[.p/WIDTH]");
}

/* Three digits. */
static bool take_group(struct cursor *c, uint64_t *v)
{
	if (c->n < 3)
		return false;
	for (int i = 0; i < 3; i++)
		if (c->p[i] < '0' || c->p[i] > '9' || __builtin_mul_overflow(*v, 10u, v) ||
		        __builtin_add_overflow(*v, (uint64_t)(c->p[i] - '0'), v))
			return false;
	c->p += 3;
	c->n -= 3;
	return true;
}

static bool take_index(struct cursor *c, uint64_t *out)
{
	bool first = true;

	for (*out = 0; begins(c, "x"); first = false) {
		if (!take_group(c, out) || !begins(c, "/") || (first && *out == 0))
			return false;
	}
	return take_group(c, out);
}

int tile_parse(const char *path, size_t n, struct tile *out, struct err *e)
{
	struct cursor c = {path, n};
	uint64_t v;

	memset(out, 0, sizeof(*out));
	out->width = TILE_WIDTH;
	if (!begins(&c, "tile/"))
		return no_tile(e);
	if (begins(&c, "entries/")) {
		out->entries = true;
	} else {
		const char *slash = memchr(c.p, '/', c.n);
		struct cursor level = {c.p, slash ? (size_t)(slash - c.p) : 0};

		if (!number(&level, &v) || v > TILE_LEVEL_MAX)
			return no_tile(e);
		out->level = (unsigned)v;
		c.n -= level.n + 1;
		c.p += level.n + 1;
	}
	if (!take_index(&c, &out->index))
		return no_tile(e);
	if (begins(&c, ".p/")) {
		if (!number(&c, &v) || v == 0 || v >= TILE_WIDTH)
			return no_tile(e);
		out->width = (unsigned)v;
	} else if (c.n) {
		return no_tile(e);
	}
	return 0;
}

bool bundle_next(const uint8_t *bundle, size_t n, size_t *at, const uint8_t **out, size_t *out_n)
{
	size_t len;

	CHECK(*at <= n);
	if (n - *at < 2)
		return false;
	len = (size_t)bundle[*at] << 8 | bundle[*at + 1];
	if (len > n - *at - 2)
		return false;
	*out = bundle + *at + 2;
	*out_n = len;
	*at += 2 + len;
	return true;
}
