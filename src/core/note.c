/* SPDX-License-Identifier: Apache-2.0 */
/* note - see note.h. */
#include "core/note.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/sha2.h"

enum { KEY_B64 = BASE64_CHARS(33), SIG_BYTES_MAX = 4 + 8 + 64, SIG_B64_MAX = 8192, TIME_MAX_BITS = 63 };

static const char dash[] = "\xe2\x80\x94 "; /* U+2014 and a space */

/* ---- characters ---- */

/* The code point at p and its length, or 0: not UTF-8 (RFC 3629: shortest form, no surrogates, up to U+10FFFF). */
static size_t utf8_next(const char *p, size_t n, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *b = (const uint8_t *)p;
	size_t len = b[0] < 0x80 ? 1 : b[0] >> 5 == 6 ? 2 : b[0] >> 4 == 14 ? 3 : b[0] >> 3 == 30 ? 4 : 0;
	uint32_t c;

	if (len == 0 || len > n)
		return 0;
	c = len == 1 ? b[0] : b[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (b[i] >> 6 != 2)
			return 0;
		c = c << 6 | (b[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*out = c;
	return len;
}

/* Unicode White_Space. */
static bool is_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
	       c == 0x3000;
}

static bool is_control(uint32_t c)
{
	return c < 0x20 || c == 0x7f;
}

bool note_name_ok(const char *name, size_t n)
{
	if (n == 0 || n > NOTE_NAME_MAX)
		return false;
	for (size_t i = 0, len; i < n; i += len) {
		uint32_t c;

		len = utf8_next(name + i, n - i, &c);
		if (!len || is_space(c) || is_control(c) || c == '+')
			return false;
	}
	return true;
}

static bool text_ok(const char *p, size_t n)
{
	for (size_t i = 0, len; i < n; i += len) {
		uint32_t c;

		len = utf8_next(p + i, n - i, &c);
		if (!len || (is_control(c) && c != '\n'))
			return false;
	}
	return true;
}

/* ---- keys ---- */

void note_key_make(const char *name, enum note_key_type type, const uint8_t key[32], struct note_key *out)
{
	uint8_t between[2] = {'\n', (uint8_t)type}, digest[32];
	size_t n = strlen(name);
	struct sha2 s;

	CHECK(note_name_ok(name, n));
	memset(out, 0, sizeof(*out));
	memcpy(out->name, name, n + 1);
	out->type = (uint8_t)type;
	memcpy(out->key, key, sizeof(out->key));
	sha2_init(&s);
	sha2_add(&s, name, n);
	sha2_add(&s, between, sizeof(between));
	sha2_add(&s, key, sizeof(out->key));
	sha2_end(&s, digest);
	memcpy(out->id, digest, sizeof(out->id));
}

static bool read_id(const char *hex, uint8_t out[4])
{
	for (size_t i = 0; i < 8; i++) {
		char c = hex[i];
		int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (v < 0)
			return false;
		out[i / 2] = (uint8_t)(out[i / 2] << 4 | v);
	}
	return true;
}

int note_key_parse(const char *vkey, size_t n, struct note_key *out, struct err *e)
{
	const char *plus = memchr(vkey, '+', n), *key;
	size_t name_n = plus ? (size_t)(plus - vkey) : 0, key_n;
	uint8_t id[4] = {0}, bytes[33];
	char name[NOTE_NAME_MAX + 1];
	long got;

	if (!plus || n - name_n < 1 + 8 + 1 || plus[9] != '+' || !read_id(plus + 1, id))
		return err_set(
		        e, ERR_INVALID, "not a key: it must be NAME+ID+KEY, with 8 hexadecimal digits as id");
	if (!note_name_ok(vkey, name_n))
		return err_set(e, ERR_INVALID, "a key's name is 1 to %d bytes of UTF-8 without spaces",
		        NOTE_NAME_MAX);
	key = plus + 10;
	key_n = n - name_n - 10;
	got = base64_read(key, key_n, bytes, sizeof(bytes));
	if (got < 1 || (bytes[0] != NOTE_ED25519 && bytes[0] != NOTE_COSIGNATURE) || got != 33)
		return err_set(e, ERR_INVALID,
		        "the key of '%.*s' is no Ed25519 key: it must be 44 characters of base64 for 33 "
		        "bytes",
		        (int)name_n, vkey);
	memcpy(name, vkey, name_n);
	name[name_n] = '\0';
	note_key_make(name, bytes[0], bytes + 1, out);
	if (memcmp(out->id, id, sizeof(id)) != 0)
		return err_set(
		        e, ERR_INVALID, "the key of '%s' does not have the id that it is written with", name);
	return 0;
}

void note_key_print(const struct note_key *k, char out[NOTE_VKEY_MAX])
{
	char b64[KEY_B64 + 1];
	uint8_t bytes[33];

	bytes[0] = k->type;
	memcpy(bytes + 1, k->key, sizeof(k->key));
	(void)base64_write(bytes, sizeof(bytes), b64);
	(void)snprintf(out, NOTE_VKEY_MAX, "%s+%02x%02x%02x%02x+%s", k->name, k->id[0], k->id[1], k->id[2],
	        k->id[3], b64);
}

/* ---- notes ---- */

static int sig_parse(const char *line, size_t n, struct note_sig *out, struct err *e)
{
	const size_t lead = sizeof(dash) - 1;
	const char *space;
	uint8_t head[6];

	if (n < lead || memcmp(line, dash, lead) != 0)
		return err_set(e, ERR_INVALID, "a signature line does not begin with a dash and a space");
	line += lead;
	n -= lead;
	space = memchr(line, ' ', n);
	out->name = line;
	out->name_n = space ? (size_t)(space - line) : 0;
	if (!note_name_ok(line, out->name_n))
		return err_set(e, ERR_INVALID, "a signature line does not name a key");
	out->base64 = space + 1;
	out->base64_n = n - out->name_n - 1;
	/* All of it is decoded by who knows the key; the first 8 characters hold the id. */
	if (out->base64_n < 8 || out->base64_n > SIG_B64_MAX || out->base64_n % 4 != 0 ||
	        base64_read(out->base64, 8, head, sizeof(head)) != 6)
		return err_set(
		        e, ERR_INVALID, "the signature of '%.*s' is not base64", (int)out->name_n, out->name);
	memcpy(out->id, head, sizeof(out->id));
	return 0;
}

int note_parse(const char *bytes, size_t n, struct note *out, struct err *e)
{
	size_t at = n, line;

	memset(out, 0, sizeof(*out));
	if (n > NOTE_BYTES_MAX)
		return err_set(e, ERR_INVALID, "a note of more than %u KiB", NOTE_BYTES_MAX / 1024);
	if (n == 0 || bytes[n - 1] != '\n' || !text_ok(bytes, n))
		return err_set(
		        e, ERR_INVALID, "not a note: it must be lines of UTF-8 without control characters");
	/* The signatures follow the last empty line. */
	while (at >= 2 && !(bytes[at - 1] == '\n' && bytes[at - 2] == '\n'))
		at--;
	if (at < 3)
		return err_set(
		        e, ERR_INVALID, "not a note: there is no empty line between text and signatures");
	out->text = bytes;
	out->text_n = at - 1;
	if (at == n)
		return err_set(e, ERR_INVALID, "not a note: it has no signature");
	for (; at < n; at = line + 1) {
		line = (size_t)((const char *)memchr(bytes + at, '\n', n - at) - bytes);
		if (out->sigs == NOTE_SIGS_MAX)
			return err_set(e, ERR_INVALID, "a note with more than %d signatures", NOTE_SIGS_MAX);
		if (sig_parse(bytes + at, line - at, &out->sig[out->sigs], e) < 0)
			return -1;
		out->sigs++;
	}
	return 0;
}

static uint64_t read_u64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

size_t note_cosigned(uint64_t time_s, const char *text, size_t text_n, char *out)
{
	int n = snprintf(out, sizeof(COSIGNED_HEAD), "cosignature/v1\ntime %" PRIu64 "\n", time_s);

	memcpy(out + n, text, text_n);
	return (size_t)n + text_n;
}

static bool cosignature_ok(const struct note *n, const struct note_key *k, const struct note_verifier *v,
        uint64_t time_s, const uint8_t sig[64])
{
	char msg[sizeof(COSIGNED_HEAD) + CHECKPOINT_TEXT_MAX + 1024];

	/* Witnesses sign checkpoints, which are short. */
	if (time_s >> TIME_MAX_BITS || n->text_n > sizeof(msg) - sizeof(COSIGNED_HEAD))
		return false;
	return v->ed25519(v->ctx, k->key, msg, note_cosigned(time_s, n->text, n->text_n, msg), sig);
}

static bool sig_ok(const struct note *n, const struct note_sig *s, const struct note_key *k,
        const struct note_verifier *v, uint64_t *out_time)
{
	uint8_t bytes[SIG_BYTES_MAX];
	long got = base64_read(s->base64, s->base64_n, bytes, sizeof(bytes));

	if (k->type == NOTE_ED25519)
		return got == 4 + 64 && v->ed25519(v->ctx, k->key, n->text, n->text_n, bytes + 4);
	if (k->type != NOTE_COSIGNATURE || got != 4 + 8 + 64)
		return false;
	*out_time = read_u64(bytes + 4);
	return cosignature_ok(n, k, v, *out_time, bytes + 12);
}

enum note_verdict note_verify(
        const struct note *n, const struct note_key *k, const struct note_verifier *v, uint64_t *out_time)
{
	enum note_verdict verdict = NOTE_UNSIGNED;
	uint64_t newest = 0;

	for (unsigned i = 0; i < n->sigs; i++) {
		const struct note_sig *s = &n->sig[i];
		uint64_t time_s = 0;

		if (s->name_n != strlen(k->name) || memcmp(s->name, k->name, s->name_n) != 0 ||
		        memcmp(s->id, k->id, sizeof(s->id)) != 0)
			continue;
		if (!sig_ok(n, s, k, v, &time_s))
			return NOTE_FORGED;
		verdict = NOTE_SIGNED;
		if (time_s > newest)
			newest = time_s;
	}
	if (out_time && verdict == NOTE_SIGNED)
		*out_time = newest;
	return verdict;
}

size_t note_line(const struct note_key *k, uint64_t time_s, const uint8_t sig[64], char out[NOTE_LINE_MAX])
{
	char b64[BASE64_CHARS(SIG_BYTES_MAX) + 1];
	uint8_t bytes[SIG_BYTES_MAX];
	size_t n = 4;

	memcpy(bytes, k->id, 4);
	if (k->type == NOTE_COSIGNATURE)
		for (int shift = 56; shift >= 0; shift -= 8)
			bytes[n++] = (uint8_t)(time_s >> shift);
	memcpy(bytes + n, sig, 64);
	(void)base64_write(bytes, n + 64, b64);
	return (size_t)snprintf(out, NOTE_LINE_MAX, "%s%s %s\n", dash, k->name, b64);
}

/* ---- checkpoints ---- */

static int bad_checkpoint(struct err *e, const char *why)
{
	return err_set(e, ERR_INVALID, "not a checkpoint: %s", why);
}

/* A decimal number with nothing before or after it. */
static bool read_size(const char *p, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if (n == 0 || n > 20 || (p[0] == '0' && n > 1))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
		        __builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

/* The line at *at, without its newline; moves past it. False: there is none. */
static bool take_line(const char **at, size_t *left, const char **out, size_t *out_n)
{
	const char *nl = memchr(*at, '\n', *left);

	if (!nl)
		return false;
	*out = *at;
	*out_n = (size_t)(nl - *at);
	*left -= *out_n + 1;
	*at = nl + 1;
	return true;
}

int checkpoint_parse(const char *text, size_t n, struct checkpoint *out, struct err *e)
{
	const char *at = text, *line;
	size_t left = n, line_n;

	memset(out, 0, sizeof(*out));
	if (!take_line(&at, &left, &out->origin, &out->origin_n) || out->origin_n == 0 ||
	        out->origin_n > NOTE_NAME_MAX)
		return bad_checkpoint(e, "the first line must be the log's origin");
	if (!take_line(&at, &left, &line, &line_n) || !read_size(line, line_n, &out->size))
		return bad_checkpoint(e, "the second line must be the tree's size, a decimal number");
	if (!take_line(&at, &left, &line, &line_n) || base64_read(line, line_n, out->root, 32) != 32)
		return bad_checkpoint(e, "the third line must be the root, 32 bytes in base64");
	out->extensions = at;
	out->extensions_n = left;
	while (left)
		if (!take_line(&at, &left, &line, &line_n) || line_n == 0)
			return bad_checkpoint(e, "an extension line is empty or does not end");
	return 0;
}

size_t checkpoint_print(const struct checkpoint *c, char out[CHECKPOINT_TEXT_MAX])
{
	char root[BASE64_CHARS(32) + 1];

	CHECK(c->origin_n > 0 && c->origin_n <= NOTE_NAME_MAX);
	(void)base64_write(c->root, 32, root);
	return (size_t)snprintf(out, CHECKPOINT_TEXT_MAX, "%.*s\n%" PRIu64 "\n%s\n", (int)c->origin_n,
	        c->origin, c->size, root);
}
