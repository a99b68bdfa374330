/* SPDX-License-Identifier: Apache-2.0 */
/* logpiece - see logpiece.h. */
#include "core/logpiece.h"

#include <string.h>

#include "base/check.h"

static const char magic[] = "osier piece 1\n";
enum { MAGIC = sizeof(magic) - 1, FIXED = MAGIC + 8 + 4 + 4 };

static uint64_t number(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

static void put_number(uint8_t *p, unsigned n, uint64_t v)
{
	while (n--)
		*p++ = (uint8_t)(v >> (8 * n));
}

static int next(const uint8_t *p, size_t n, size_t *at, struct logpiece_item *out)
{
	size_t len;

	memset(out, 0, sizeof(*out));
	if (n - *at < 2)
		return -1;
	len = (size_t)number(p + *at, 2);
	if (n - *at - 2 < (len ? len : MERKLE_HASH_BYTES))
		return -1;
	if (len) {
		out->bytes = p + *at + 2;
		out->n = len;
	} else {
		out->leaf = p + *at + 2;
	}
	*at += 2 + (len ? len : MERKLE_HASH_BYTES);
	return 0;
}

int logpiece_parse(const uint8_t *bytes, size_t n, struct logpiece *out, struct err *e)
{
	struct logpiece_item item;
	struct err why;
	size_t at = 0;

	memset(out, 0, sizeof(*out));
	if (n < FIXED || memcmp(bytes, magic, MAGIC) != 0)
		return err_set(e, ERR_INVALID, "it does not begin as a piece of a log does");
	if (n > LOGPIECE_BYTES_MAX)
		return err_set(e, ERR_INVALID, "a piece of a log has at most %u bytes", LOGPIECE_BYTES_MAX);
	out->from = number(bytes + MAGIC, 8);
	out->count = (uint32_t)number(bytes + MAGIC + 8, 4);
	out->head_n = (size_t)number(bytes + MAGIC + 12, 4);
	if (out->count == 0 || out->count > LOGPIECE_COUNT_MAX || out->from > (uint64_t)INT64_MAX)
		return err_set(e, ERR_INVALID, "a piece of a log has 1 to %u entries", LOGPIECE_COUNT_MAX);
	if (out->head_n > LOGPIECE_HEAD_MAX || out->head_n > n - FIXED)
		return err_set(e, ERR_INVALID, "its head is longer than the piece, or any that makes sense");
	out->head_text = (const char *)bytes + FIXED;
	if (addcheckpoint_parse(out->head_text, out->head_n, &out->head, &why) < 0) {
		if (e)
			*e = why;
		return err_wrap(e, "its head");
	}
	if (out->head.old != out->from + out->count)
		return err_set(e, ERR_INVALID, "its head is not for the entries that it brings");
	out->items = bytes + FIXED + out->head_n;
	out->items_n = n - FIXED - out->head_n;
	for (uint32_t i = 0; i < out->count; i++)
		if (next(out->items, out->items_n, &at, &item) < 0)
			return err_set(e, ERR_INVALID, "it ends before its entries do");
	return at == out->items_n ? 0 : err_set(e, ERR_INVALID, "there is more than its entries in it");
}

bool logpiece_next(const struct logpiece *p, size_t *at, struct logpiece_item *out)
{
	return next(p->items, p->items_n, at, out) == 0;
}

size_t logpiece_item_size(const uint8_t *bytes, size_t n)
{
	return 2 + (bytes ? n : MERKLE_HASH_BYTES);
}

size_t logpiece_put(uint8_t *out, const uint8_t *bytes, size_t n, const uint8_t leaf[MERKLE_HASH_BYTES])
{
	CHECK(!bytes || (n >= 1 && n <= 65535));
	put_number(out, 2, bytes ? n : 0);
	memcpy(out + 2, bytes ? bytes : leaf, bytes ? n : MERKLE_HASH_BYTES);
	return logpiece_item_size(bytes, n);
}

size_t logpiece_front_size(const struct addcheckpoint *head)
{
	return FIXED + addcheckpoint_size(head);
}

size_t logpiece_front(const struct logpiece *p, uint8_t *out)
{
	size_t n = addcheckpoint_print(&p->head, (char *)out + FIXED);

	CHECK(p->head.old == p->from + p->count);
	memcpy(out, magic, MAGIC);
	put_number(out + MAGIC, 8, p->from);
	put_number(out + MAGIC + 8, 4, p->count);
	put_number(out + MAGIC + 12, 4, n);
	return FIXED + n;
}
