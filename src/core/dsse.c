/* SPDX-License-Identifier: Apache-2.0 */
/* dsse - see dsse.h. */
#include "core/dsse.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "core/jsontext.h"

size_t dsse_pae_size(const char *type, size_t type_n, size_t n)
{
	char head[DSSE_PAE_HEAD];

	(void)type;
	return (size_t)snprintf(head, sizeof(head), "DSSEv1 %zu  %zu ", type_n, n) + type_n + n;
}

size_t dsse_pae(const char *type, size_t type_n, const void *payload, size_t n, uint8_t *out)
{
	char head[DSSE_PAE_HEAD];
	size_t at = (size_t)snprintf(head, sizeof(head), "DSSEv1 %zu ", type_n), len;

	memcpy(out, head, at);
	memcpy(out + at, type, type_n);
	at += type_n;
	len = (size_t)snprintf(head, sizeof(head), " %zu ", n);
	memcpy(out + at, head, len);
	at += len;
	if (n)
		memcpy(out + at, payload, n);
	CHECK(at + n == dsse_pae_size(type, type_n, n));
	return at + n;
}

/* ---- reading ---- */

/* Either alphabet of RFC 4648, padded or not (section 5 allows both): to the strict one, in place of a copy. */
static int bytes_of(
        struct arena *a, const char *text, size_t n, const uint8_t **out, size_t *out_n, struct err *e)
{
	size_t padded = (n + 3) / 4 * 4;
	char *copy = arena_alloc(a, padded + 1);
	uint8_t *bytes = arena_alloc(a, n / 4 * 3 + 3);
	bool standard = false, url = false;
	long got;

	if (!copy || !bytes)
		return err_set(e, ERR_FULL, "the envelope is too large");
	memset(copy, '=', padded);
	for (size_t i = 0; i < n; i++) {
		standard |= text[i] == '+' || text[i] == '/';
		url |= text[i] == '-' || text[i] == '_';
		copy[i] = text[i];
		if (text[i] == '-')
			copy[i] = '+';
		if (text[i] == '_')
			copy[i] = '/';
	}
	got = standard && url ? -1 : base64_read(copy, padded, bytes, n / 4 * 3 + 3);
	if (got < 0)
		return err_set(e, ERR_INVALID, "the envelope has something that is not base64");
	*out = bytes;
	*out_n = (size_t)got;
	return 0;
}

static bool is(const char *key, size_t n, const char *name)
{
	return n == strlen(name) && memcmp(key, name, n) == 0;
}

static int twice(struct err *e, const char *what)
{
	return err_set(e, ERR_INVALID, "the envelope has '%s' twice", what);
}

static int read_sig(struct jsonr *r, struct dsse_sig *out, struct err *e)
{
	const char *key, *text;
	bool first = true;
	size_t key_n, n;
	int more;

	*out = (struct dsse_sig){.keyid = NULL};
	while ((more = jr_member(r, &first, &key, &key_n, e)) > 0) {
		if (is(key, key_n, "sig")) {
			if (out->sig)
				return twice(e, "sig");
			if (jr_string(r, &text, &n, e) < 0 ||
			        bytes_of(r->a, text, n, &out->sig, &out->sig_n, e) < 0)
				return -1;
		} else if (is(key, key_n, "keyid")) {
			if (out->keyid)
				return twice(e, "keyid");
			if (jr_string(r, &out->keyid, &n, e) < 0)
				return -1;
		} else if (jr_skip(r, e) < 0) {
			return -1;
		}
	}
	if (more == 0 && !out->sig)
		return err_set(e, ERR_INVALID, "a signature of the envelope has no 'sig'");
	if (!out->keyid)
		out->keyid = "";
	return more;
}

static int read_sigs(struct jsonr *r, struct dsse *out, struct err *e)
{
	bool first = true;
	int more;

	while ((more = jr_element(r, &first, e)) > 0) {
		if (out->sigs == DSSE_SIGS_MAX)
			return err_set(
			        e, ERR_INVALID, "the envelope has more than %u signatures", DSSE_SIGS_MAX);
		if (read_sig(r, &out->sig[out->sigs], e) < 0)
			return -1;
		out->sigs++;
	}
	return more;
}

static int read_member(
        struct jsonr *r, const char *key, size_t key_n, bool *sigs, struct dsse *out, struct err *e)
{
	const char *text;
	size_t n;

	if (is(key, key_n, "payload")) {
		if (out->payload)
			return twice(e, "payload");
		return jr_string(r, &text, &n, e) < 0
		               ? -1
		               : bytes_of(r->a, text, n, &out->payload, &out->payload_n, e);
	}
	if (is(key, key_n, "payloadType")) {
		if (out->type)
			return twice(e, "payloadType");
		return jr_string(r, &out->type, &out->type_n, e);
	}
	if (is(key, key_n, "signatures")) {
		if (*sigs)
			return twice(e, "signatures");
		*sigs = true;
		return read_sigs(r, out, e);
	}
	return jr_skip(r, e);
}

int dsse_parse(struct arena *a, const char *bytes, size_t n, struct dsse *out, struct err *e)
{
	struct jsonr r = {.p = bytes, .end = bytes + n, .a = a};
	bool first = true, sigs = false;
	const char *key;
	size_t key_n;
	int more;

	memset(out, 0, sizeof(*out));
	if (n > DSSE_BYTES_MAX)
		return err_set(e, ERR_INVALID, "an envelope of more than %u MiB", DSSE_BYTES_MAX >> 20);
	while ((more = jr_member(&r, &first, &key, &key_n, e)) > 0)
		if (read_member(&r, key, key_n, &sigs, out, e) < 0)
			return -1;
	if (more < 0 || jr_end(&r, e) < 0)
		return -1;
	if (!out->payload || !out->type || !sigs)
		return err_set(e, ERR_INVALID, "not a DSSE envelope: it has no '%s'",
		        !out->payload ? "payload"
		        : !out->type  ? "payloadType"
		                      : "signatures");
	if (out->sigs == 0)
		return err_set(e, ERR_INVALID, "nobody has signed the envelope");
	return 0;
}

/* ---- writing ---- */

static void put_base64(struct jsonw *w, const uint8_t *p, size_t n)
{
	char text[BASE64_CHARS(768) + 1];

	jw_raw(w, "\"");
	for (size_t at = 0; at < n; at += 768) {
		(void)base64_write(p + at, n - at < 768 ? n - at : 768, text);
		jw_raw(w, text);
	}
	jw_raw(w, "\"");
}

size_t dsse_print(const struct dsse *d, char *out, size_t max)
{
	struct jsonw w = {.p = out, .max = max};

	jw_raw(&w, "{\"payload\":");
	put_base64(&w, d->payload, d->payload_n);
	jw_raw(&w, ",\"payloadType\":");
	jw_str_n(&w, d->type, d->type_n);
	jw_raw(&w, ",\"signatures\":[");
	for (unsigned i = 0; i < d->sigs; i++) {
		jw_raw(&w, i ? ",{" : "{");
		if (d->sig[i].keyid && d->sig[i].keyid[0]) {
			jw_raw(&w, "\"keyid\":");
			jw_str(&w, d->sig[i].keyid);
			jw_raw(&w, ",");
		}
		jw_raw(&w, "\"sig\":");
		put_base64(&w, d->sig[i].sig, d->sig[i].sig_n);
		jw_raw(&w, "}");
	}
	jw_raw(&w, "]}\n");
	return w.n;
}

int dsse_verify(struct arena *a, const struct dsse *d, const uint8_t key[32], const struct note_verifier *v,
        enum note_verdict *out, struct err *e)
{
	uint8_t *pae = arena_alloc(a, dsse_pae_size(d->type, d->type_n, d->payload_n));
	size_t n;

	if (!pae)
		return err_set(e, ERR_FULL, "the envelope is too large");
	n = dsse_pae(d->type, d->type_n, d->payload, d->payload_n, pae);
	*out = NOTE_UNSIGNED;
	for (unsigned i = 0; i < d->sigs; i++) {
		if (d->sig[i].sig_n != 64)
			continue;
		*out = NOTE_FORGED;
		if (v->ed25519(v->ctx, key, pae, n, d->sig[i].sig)) {
			*out = NOTE_SIGNED;
			return 0;
		}
	}
	return 0;
}
