/* SPDX-License-Identifier: Apache-2.0 */
/* hub_parse - see hub_parse.h. */
#include "engine/hub_parse.h"

#include <jansson.h>
#include <string.h>

#include "base/base64.h"
#include "io/ed25519.h"
#include "io/sha256.h"

/* ---- joining and renewing ---- */

static int hex_of(const json_t *j, const char *key, uint8_t *out, size_t n)
{
	const char *s = json_string_value(json_object_get(j, key));

	if (!s || strlen(s) != 2 * n)
		return -1;
	for (size_t i = 0; i < 2 * n; i++) {
		const char *digits = "0123456789abcdef", *at = s[i] ? strchr(digits, s[i]) : NULL;

		if (!at)
			return -1;
		out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | (at - digits) : (at - digits) << 4);
	}
	return 0;
}

static int base64_of(const json_t *j, const char *key, uint8_t *out, size_t n)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s && base64_read(s, strlen(s), out, n) == (long)n ? 0 : -1;
}

/* {"origin", "broker_port"} of one that will stand by. */
static int read_standby(const json_t *o, struct hub_asked *a, struct err *e)
{
	const char *text = json_string_value(json_object_get(o, "origin"));
	json_int_t port = json_integer_value(json_object_get(o, "broker_port"));
	char origin[JOIN_URL_MAX];

	if (!o)
		return 0;
	if (!text || strlen(text) > IDENTITY_ORIGIN || join_origin_parse(text, origin, NULL) < 0 ||
	        strcmp(text, origin) != 0 || port < 1 || port > 65535)
		return err_set(e, ERR_INVALID, "'standby' does not say where that one would be reached");
	memcpy(a->standby, origin, strlen(origin) + 1);
	a->standby_broker = (uint32_t)port;
	return 0;
}

/* Its key until now, and that key's word for the new one. */
static int read_vouch(const json_t *j, const uint8_t fingerprint[16], struct hub_asked *a, struct err *e)
{
	char text[JOIN_STATEMENT_MAX];
	uint8_t sig[64];
	size_t n;

	if (a->what != JOIN_RENEW || !json_object_get(j, "was"))
		return 0;
	if (base64_of(j, "was", a->was, 32) < 0 || base64_of(j, "was_signature", sig, 64) < 0)
		return err_set(e, ERR_INVALID, "'was' or 'was_signature' is not base64 of 32 and 64 bytes");
	n = join_vouch(fingerprint, a->name, a->was, a->key, text);
	if (!ed25519_verify(a->was, text, n, sig))
		return err_set(e, ERR_DENIED, "the node's key until now does not vouch for the new one");
	a->vouched = true;
	return 0;
}

static int read_fields(const char *peer, const json_t *j, struct hub_asked *a, uint8_t sig[64], struct err *e)
{
	const char *name = json_string_value(json_object_get(j, "name")),
	           *csr = json_string_value(json_object_get(j, "csr"));
	uint8_t secret[16];

	if (json_integer_value(json_object_get(j, "version")) != JOIN_VERSION) {
		(void)err_set(e, ERR_VERSION, "this hub speaks version %d of joining", JOIN_VERSION);
		return err_hint(e, "install the same version of osier on both");
	}
	if (!name || !cert_name_ok(name) || strcmp(name, CERT_HUB) == 0) {
		(void)err_set(e, ERR_INVALID, "'%.63s' cannot be the name of a node", name ? name : "");
		return err_hint(e, "use a-z, 0-9 and '-', at most %u, and not '%s'", CERT_NAME_MAX, CERT_HUB);
	}
	if (a->what == JOIN_JOIN && hex_of(j, "token", secret, sizeof(secret)) < 0)
		return err_set(e, ERR_INVALID, "'token' is not 32 hexadecimal digits");
	if (hex_of(j, "journal", a->journal, 32) < 0)
		return err_set(e, ERR_INVALID, "'journal' is not 64 hexadecimal digits");
	if (base64_of(j, "key", a->key, 32) < 0 || base64_of(j, "signature", sig, 64) < 0)
		return err_set(e, ERR_INVALID, "'key' or 'signature' is not base64 of 32 and 64 bytes");
	if (a->what == JOIN_RENEW && *peer && strcmp(name, peer) != 0)
		return err_set(e, ERR_DENIED, "'%s' may not ask for a certificate of '%s'", peer, name);
	if (!csr)
		return err_set(e, ERR_INVALID, "'csr' is missing");
	if (a->what == JOIN_JOIN && read_standby(json_object_get(j, "standby"), a, e) < 0)
		return -1;
	memcpy(a->name, name, strlen(name) + 1);
	if (a->what == JOIN_JOIN)
		join_token_hash(secret, a->token_hash);
	return cert_request_read(csr, strlen(csr), &a->request, e);
}

int hub_asked_read(const char *bytes, size_t len, const uint8_t fingerprint[16], const char *peer,
        struct hub_asked *a, struct err *e)
{
	json_t *j = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL);
	char text[JOIN_STATEMENT_MAX];
	uint8_t sig[64], digest[32];
	size_t n;
	int rc;

	if (!json_is_object(j)) {
		json_decref(j);
		return err_set(e, ERR_INVALID, "the body is not a JSON object");
	}
	rc = read_fields(peer, j, a, sig, e);
	if (rc == 0 && read_vouch(j, fingerprint, a, e) < 0) {
		cert_request_free(a->request);
		a->request = NULL;
		rc = -1;
	}
	json_decref(j);
	if (rc < 0)
		return -1;
	cert_request_digest(a->request, digest);
	n = join_statement(a->what, fingerprint, a->name, a->journal, digest, text);
	if (ed25519_verify(a->key, text, n, sig))
		return 0;
	cert_request_free(a->request);
	a->request = NULL;
	return err_set(e, ERR_DENIED, "the request is not signed with the node's own key");
}

void hub_keys_asked_read(const char *body, size_t n, struct hub_asked *a)
{
	json_t *j = json_loadb(body, n, JSON_REJECT_DUPLICATES, NULL);
	const char *text = json_string_value(json_object_get(j, "origin"));
	char origin[JOIN_URL_MAX];

	if (text && strlen(text) <= IDENTITY_ORIGIN && join_origin_parse(text, origin, NULL) == 0 &&
	        strcmp(text, origin) == 0)
		memcpy(a->standby, origin, strlen(origin) + 1);
	a->began = json_is_true(json_object_get(j, "began"));
	text = json_string_value(json_object_get(j, "has"));
	a->has_files = text && sha256_unhex(text, a->files) == 0;
	json_decref(j);
}

/* ---- the pace ---- */

#define FULL_MILLI (2000ull * HUB_TRIES)

/* The milli of the address, as of now. */
static uint64_t *left(struct hub_pace *p, const uint8_t address[16], uint64_t now_ns)
{
	unsigned at = 0;

	for (unsigned i = 0; i < HUB_ADDRESSES; i++) {
		if (p->of[i].at_ns && memcmp(p->of[i].address, address, 16) == 0) {
			uint64_t gained = (now_ns - p->of[i].at_ns) / 1000000u * HUB_TRIES;

			p->of[i].milli =
			        gained > FULL_MILLI - p->of[i].milli ? FULL_MILLI : p->of[i].milli + gained;
			p->of[i].at_ns +=
			        gained / HUB_TRIES * 1000000u; /* what is less than a millisecond is kept */
			return &p->of[i].milli;
		}
		if (p->of[i].at_ns < p->of[at].at_ns)
			at = i;
	}
	memcpy(p->of[at].address, address, 16);
	p->of[at].at_ns = now_ns;
	p->of[at].milli = FULL_MILLI;
	return &p->of[at].milli;
}

bool hub_pace_may(struct hub_pace *p, const uint8_t address[16], uint64_t now_ns)
{
	return *left(p, address, now_ns) >= 1000;
}

void hub_pace_spend(struct hub_pace *p, const uint8_t address[16], uint64_t now_ns)
{
	uint64_t *milli = left(p, address, now_ns);

	*milli -= *milli < 1000 ? *milli : 1000;
}

/* ---- ranges ---- */

static bool digits(const char **p, uint64_t *out)
{
	const char *from = *p;

	*out = 0;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		if (*out > HUB_BLOB_BYTES_MAX * 16)
			return false;
		*out = *out * 10 + (uint64_t)(**p - '0');
	}
	return *p > from;
}

enum hub_range hub_range(const char *text, uint64_t size, uint64_t *first, uint64_t *count)
{
	uint64_t a, b;
	const char *p;

	if (!text || strncmp(text, "bytes=", 6) != 0)
		return RANGE_ALL;
	p = text + 6;
	if (*p == '-') {
		p++;
		if (!digits(&p, &b) || *p)
			return RANGE_ALL;
		*first = b >= size ? 0 : size - b;
		*count = size - *first;
		return b && size ? RANGE_PART : RANGE_BAD;
	}
	if (!digits(&p, &a) || *p++ != '-')
		return RANGE_ALL;
	b = size - 1;
	if (*p && (!digits(&p, &b) || *p || b < a))
		return RANGE_ALL;
	if (a >= size)
		return RANGE_BAD;
	*first = a;
	*count = (b >= size ? size - 1 : b) - a + 1;
	return RANGE_PART;
}

int hub_content_range(const char *range, const char *length, uint64_t *first, uint64_t *end, uint64_t *total)
{
	*first = 0;
	if (!range) {
		if (!length || !digits(&length, total) || *length)
			return -1;
		*end = *total;
		return *total <= HUB_BLOB_BYTES_MAX ? 0 : -1;
	}
	if (strncmp(range, "bytes ", 6) != 0)
		return -1;
	range += 6;
	if (!digits(&range, first) || *range++ != '-' || !digits(&range, end) || *range++ != '/' ||
	        !digits(&range, total) || *range)
		return -1;
	(*end)++;
	return *first < *end && *end <= *total && *total <= HUB_BLOB_BYTES_MAX ? 0 : -1;
}
