/* SPDX-License-Identifier: Apache-2.0 */
/* ticket - see ticket.h. Pure. */
#include "core/ticket.h"

#include <string.h>

#include "base/check.h"

static const char magic[] = "osier ticket 1\n";
#define MAGIC (sizeof(magic) - 1)

static size_t put_name(uint8_t *p, const char *name)
{
	size_t n = strlen(name);

	CHECK(n <= FRAME_NAME_MAX);
	p[0] = (uint8_t)n;
	memcpy(p + 1, name, n);
	return 1 + n;
}

size_t ticket_write(const struct ticket *t, uint8_t out[TICKET_BYTES_MAX])
{
	size_t at = MAGIC;

	CHECK(t->n <= TICKET_BLOBS_MAX);
	memcpy(out, magic, MAGIC);
	for (unsigned i = 0; i < 8; i++)
		out[at++] = (uint8_t)(t->expires_s >> (8 * i));
	at += put_name(out + at, t->hub);
	at += put_name(out + at, t->node);
	out[at++] = (uint8_t)t->n;
	memcpy(out + at, t->blob, 32 * (size_t)t->n);
	return at + 32 * (size_t)t->n;
}

static bool get_name(const uint8_t **p, size_t *n, char out[FRAME_NAME_MAX + 1])
{
	size_t k = *n ? (*p)[0] : 0;

	if (k == 0 || k > FRAME_NAME_MAX || *n < 1 + k || memchr(*p + 1, 0, k))
		return false;
	memcpy(out, *p + 1, k);
	out[k] = '\0';
	*p += 1 + k;
	*n -= 1 + k;
	return true;
}

int ticket_read(const uint8_t *bytes, size_t n, struct ticket *out, size_t *out_signed, struct err *e)
{
	const uint8_t *p = bytes + MAGIC;
	size_t left;

	if (n < MAGIC + 8 + 5 + TICKET_SIG || n > TICKET_BYTES_MAX || memcmp(bytes, magic, MAGIC) != 0)
		return err_set(e, ERR_CORRUPT, "this is not a ticket");
	left = n - MAGIC - TICKET_SIG;
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < 8; i++)
		out->expires_s |= (uint64_t)p[i] << (8 * i);
	p += 8;
	left -= 8;
	if (!get_name(&p, &left, out->hub) || !get_name(&p, &left, out->node) || left == 0 ||
	        p[0] > TICKET_BLOBS_MAX || left != 1 + 32 * (size_t)p[0])
		return err_set(e, ERR_CORRUPT, "this is not a ticket");
	out->n = p[0];
	memcpy(out->blob, p + 1, 32 * (size_t)out->n);
	*out_signed = n - TICKET_SIG;
	return 0;
}

int ticket_allows(const struct ticket *t, const char *hub, const char *node, const uint8_t digest[32],
        uint64_t now_s, struct err *e)
{
	if (strcmp(t->hub, hub) != 0)
		return err_set(
		        e, ERR_DENIED, "the ticket is of the hub '%s', and this node's is '%s'", t->hub, hub);
	if (strcmp(t->node, node) != 0)
		return err_set(
		        e, ERR_DENIED, "the ticket is for '%s', and the certificate of '%s'", t->node, node);
	if (now_s >= t->expires_s)
		return err_set(e, ERR_DENIED, "the ticket expired %llu s ago",
		        (unsigned long long)(now_s - t->expires_s));
	for (uint32_t i = 0; i < t->n; i++)
		if (memcmp(t->blob[i], digest, 32) == 0)
			return 0;
	return err_set(e, ERR_DENIED, "the ticket is for other blobs");
}
