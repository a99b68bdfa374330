/* SPDX-License-Identifier: Apache-2.0 */
/* calendar - see calendar.h. Addresses are those of opentimestamps-server: POST /digest, GET /timestamp/COMMITMENT. */
#include "io/calendar.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define TYPE "application/vnd.opentimestamps.v1"

enum { PENDING_MAX = 32 };

bool calendar_hash(void *ctx, enum ots_op op, const uint8_t *p, size_t n, uint8_t out[20])
{
	EVP_MD *md = EVP_MD_fetch(NULL, op == OTS_SHA1 ? "SHA1" : "RIPEMD160", NULL);
	unsigned got = 0;
	bool ok;

	(void)ctx;
	ok = md && EVP_MD_get_size(md) == 20 && EVP_Digest(p, n, out, &got, md, NULL) == 1 && got == 20;
	EVP_MD_free(md);
	return ok;
}

/* An answer of a calendar must be a timestamp of the message, and nothing else. */
static int ask(const struct calendars *c, struct ots_reader *r, const struct http_request *q,
        const uint8_t *message, size_t message_n, struct ots_piece *out, struct err *e)
{
	char who[HTTP_ORIGIN_MAX];
	struct http_answer a;
	uint8_t *copy;

	if (http_ask(c->http, q, &a, e) < 0)
		return -1;
	http_origin(q->url, who);
	if (a.status == 404 && q->method == HTTP_GET)
		return err_set(e, ERR_NOTFOUND, "%s is not ready yet", who);
	if (a.status != 200)
		return err_set(e, ERR_DENIED, "%s answers with HTTP status %u", who, a.status);
	if (a.body_n > CALENDAR_ANSWER_MAX)
		return err_set(e, ERR_FULL, "%s sends more than %u bytes", who, CALENDAR_ANSWER_MAX);
	if (ots_read_timestamp(r, a.body, a.body_n, message, message_n, e) < 0)
		return err_wrap(e, "%s", who);
	copy = malloc(a.body_n);
	CHECK(copy != NULL);
	memcpy(copy, a.body, a.body_n);
	*out = (struct ots_piece){copy, a.body_n};
	return 0;
}

static struct ots_reader *reader_new(void)
{
	struct ots_reader *r = calloc(1, sizeof(*r));

	CHECK(r != NULL);
	r->hash = calendar_hash;
	return r;
}

static int submit(const struct calendars *c, struct ots_reader *r, const char *url,
        const uint8_t commitment[32], struct ots_piece *out, struct err *e)
{
	char address[HTTP_URL_MAX];
	struct http_request q = {.method = HTTP_POST,
	        .url = address,
	        .type = "application/x-www-form-urlencoded",
	        .accept = TYPE,
	        .body = commitment,
	        .body_n = 32};

	if ((size_t)snprintf(address, sizeof(address), "%s/digest", url) >= sizeof(address))
		return err_set(e, ERR_INVALID, "the address of a calendar is too long");
	return ask(c, r, &q, commitment, 32, out, e);
}

int calendar_stamp(const struct calendars *c, const uint8_t digest[32], unsigned least,
        uint8_t out[OTS_FILE_MAX], size_t *out_n, unsigned *out_got, struct err *e)
{
	struct ots_piece answer[CALENDARS_MAX];
	struct ots_reader *r = reader_new();
	uint8_t nonce[16], commitment[32];
	unsigned got = 0;
	size_t n = 0;

	CHECK(c->n > 0 && c->n <= CALENDARS_MAX && least > 0);
	CHECK(sodium_init() >= 0);
	randombytes_buf(nonce, sizeof(nonce));
	ots_commitment(digest, nonce, commitment);
	for (unsigned i = 0; i < c->n; i++)
		if (submit(c, r, c->urls[i], commitment, &answer[got], e) == 0)
			got++;
	if (got >= least) {
		n = ots_make(digest, nonce, answer, got, out, OTS_FILE_MAX);
		CHECK(n > 0);
		*out_n = n;
		*out_got = got;
	} else if (got) {
		(void)err_set(e, ERR_CLOSED, "only %u of the calendars answer, and %u must", got, least);
	}
	for (unsigned i = 0; i < got; i++)
		free((void *)answer[i].p);
	free(r);
	return n ? 0 : -1;
}

/* ---- completing ---- */

struct pending {
	struct ots_attestation a; /* its message is copied, its uri points into the file */
	uint8_t message[256];
};
struct found {
	struct pending p[PENDING_MAX];
	unsigned n;
};

static void collect(void *ctx, const struct ots_attestation *a)
{
	struct found *f = ctx;

	if (a->kind != OTS_PENDING || f->n == PENDING_MAX || a->message_n > sizeof(f->p[0].message))
		return;
	f->p[f->n].a = *a;
	memcpy(f->p[f->n].message, a->message, a->message_n);
	f->n++;
}

/* The named calendar with this address, or NULL. */
static const char *named(const struct calendars *c, const char *uri, size_t n)
{
	for (unsigned i = 0; i < c->n; i++)
		if (strlen(c->urls[i]) == n && memcmp(c->urls[i], uri, n) == 0)
			return c->urls[i];
	return NULL;
}

static int fetch(const struct calendars *c, struct ots_reader *r, const char *url, const struct pending *p,
        struct ots_piece *out, struct err *e)
{
	char address[HTTP_URL_MAX], hex[2 * sizeof(p->message) + 1];
	struct http_request q = {.method = HTTP_GET, .url = address, .accept = TYPE};

	(void)sodium_bin2hex(hex, sizeof(hex), p->message, p->a.message_n);
	if ((size_t)snprintf(address, sizeof(address), "%s/timestamp/%s", url, hex) >= sizeof(address))
		return err_set(e, ERR_INVALID, "the address of a calendar is too long");
	return ask(c, r, &q, p->message, p->a.message_n, out, e);
}

/* After an attestation that was completed comes the answer, or FF and the answer. */
static bool stands_at(const uint8_t *p, size_t n, size_t at, struct ots_piece answer)
{
	return at <= n && n - at >= answer.n && memcmp(p + at, answer.p, answer.n) == 0;
}

int calendar_complete(const struct calendars *c, const uint8_t *file, size_t n, uint8_t out[OTS_FILE_MAX],
        size_t *out_n, unsigned *out_added, struct err *e)
{
	uint8_t *now = malloc(OTS_FILE_MAX), *next = malloc(OTS_FILE_MAX), *swap;
	struct found *found = calloc(1, sizeof(*found));
	struct ots_reader *r = reader_new();
	unsigned added = 0, failed = 0;
	struct ots_file head;
	int rc;

	CHECK(now && next && found && c->n > 0);
	r->visit = collect;
	r->ctx = found;
	rc = ots_read(r, file, n, &head, e);
	r->visit = NULL;
	if (rc == 0)
		memcpy(now, file, n);
	/* From the last to the first, so that the places of those before stay what they are. */
	for (unsigned i = rc == 0 ? found->n : 0; i-- > 0;) {
		const struct pending *p = &found->p[i];
		const char *url = named(c, p->a.uri, p->a.uri_n);
		struct ots_piece answer;
		struct err one = {0};
		size_t more;

		if (!url)
			continue;
		if (fetch(c, r, url, p, &answer, &one) < 0) {
			if (one.code != ERR_NOTFOUND) {
				failed++;
				if (e)
					*e = one;
			}
			continue;
		}
		if (stands_at(now, n, p->a.end, answer) ||
		        stands_at(now, n, p->a.end + 1, answer)) { /* it was completed before */
			free((void *)answer.p);
			continue;
		}
		more = ots_complete(now, n, &p->a, answer, next, OTS_FILE_MAX);
		free((void *)answer.p);
		if (!more)
			continue;
		swap = now;
		now = next;
		next = swap;
		n = more;
		added++;
	}
	if (rc == 0 && !added && failed)
		rc = -1;
	if (rc == 0) {
		*out_added = added;
		if (added)
			memcpy(out, now, *out_n = n);
	}
	free(now);
	free(next);
	free(found);
	free(r);
	return rc;
}
