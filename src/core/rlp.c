/* SPDX-License-Identifier: Apache-2.0 */
/* rlp - see rlp.h. */
#include "core/rlp.h"

#include <string.h>

#include "base/check.h"

enum { SHORT_MAX = 55, STRING_AT = 0x80, LIST_AT = 0xc0, HEAD_MAX = 9 };

void rlp_begin(struct rlp_out *w, uint8_t *out, size_t max)
{
	memset(w, 0, sizeof(*w));
	w->out = out;
	w->max = max;
}

static void put(struct rlp_out *w, const void *p, size_t n)
{
	if (w->full || n > w->max - w->n) {
		w->full = true;
		return;
	}
	if (n)
		memcpy(w->out + w->n, p, n);
	w->n += n;
}

/* What stands before n bytes of a string or list (`at`: STRING_AT or LIST_AT). Returns its length. */
static size_t head(uint8_t out[HEAD_MAX], uint8_t at, size_t n)
{
	size_t k = 0;

	if (n <= SHORT_MAX) {
		out[0] = (uint8_t)(at + n);
		return 1;
	}
	while (k < 8 && n >> (8 * k))
		k++;
	out[0] = (uint8_t)(at + SHORT_MAX + k);
	for (size_t i = 0; i < k; i++)
		out[1 + i] = (uint8_t)(n >> (8 * (k - 1 - i)));
	return 1 + k;
}

void rlp_string(struct rlp_out *w, const void *p, size_t n)
{
	uint8_t h[HEAD_MAX];

	if (n != 1 || *(const uint8_t *)p >= STRING_AT)
		put(w, h, head(h, STRING_AT, n));
	put(w, p, n);
}

void rlp_integer(struct rlp_out *w, const uint8_t *be, size_t n)
{
	while (n && *be == 0) {
		be++;
		n--;
	}
	rlp_string(w, be, n);
}

void rlp_u64(struct rlp_out *w, uint64_t v)
{
	uint8_t be[8];

	for (int i = 0; i < 8; i++)
		be[i] = (uint8_t)(v >> (56 - 8 * i));
	rlp_integer(w, be, sizeof(be));
}

void rlp_list_begin(struct rlp_out *w)
{
	CHECK(w->depth < RLP_DEPTH_MAX);
	w->open[w->depth++] = w->n;
}

/* The body is moved to make room for its head, whose length nobody knew before. */
void rlp_list_end(struct rlp_out *w)
{
	uint8_t h[HEAD_MAX];
	size_t from, n, k;

	CHECK(w->depth > 0);
	from = w->open[--w->depth];
	n = w->n - from;
	k = head(h, LIST_AT, n);
	if (w->full || k > w->max - w->n) {
		w->full = true;
		return;
	}
	memmove(w->out + from + k, w->out + from, n);
	memcpy(w->out + from, h, k);
	w->n += k;
}

size_t rlp_end(const struct rlp_out *w)
{
	CHECK(w->depth == 0);
	return w->full ? 0 : w->n;
}

static int bad(struct err *e, const char *why)
{
	return err_set(e, ERR_CORRUPT, "not RLP: %s", why);
}

/* The length that k bytes at p give; it must need all of them and be more than a short form could say. */
static int long_length(const uint8_t *p, size_t k, size_t *out, struct err *e)
{
	uint64_t n = 0;

	if (p[0] == 0)
		return bad(e, "a length begins with a zero");
	for (size_t i = 0; i < k; i++)
		n = n << 8 | p[i];
	if (n <= SHORT_MAX)
		return bad(e, "a short length in the long form");
	if (n > SIZE_MAX)
		return bad(e, "it is cut off");
	*out = (size_t)n;
	return 0;
}

int rlp_next(struct rlp_in *r, struct rlp_item *out, struct err *e)
{
	size_t skip = 1, n = 0;
	uint8_t first, at;

	if (r->left == 0)
		return bad(e, "an item is missing");
	first = r->at[0];
	at = first >= LIST_AT ? LIST_AT : STRING_AT;
	if (first < STRING_AT) {
		skip = 0;
		n = 1;
	} else if (first - at <= SHORT_MAX) {
		n = (size_t)(first - at);
	} else {
		skip = 1 + (size_t)(first - at - SHORT_MAX);
		if (skip > r->left)
			return bad(e, "it is cut off");
		if (long_length(r->at + 1, skip - 1, &n, e) < 0)
			return -1;
	}
	if (n > r->left - skip)
		return bad(e, "it is cut off");
	if (first == STRING_AT + 1 && r->at[1] < STRING_AT)
		return bad(e, "a small byte with a length");
	*out = (struct rlp_item){at == LIST_AT ? RLP_LIST : RLP_STRING, r->at + skip, n};
	if (first < STRING_AT)
		out->kind = RLP_STRING;
	r->at += skip + n;
	r->left -= skip + n;
	return 0;
}

int rlp_next_kind(struct rlp_in *r, enum rlp_kind kind, struct rlp_item *out, struct err *e)
{
	struct rlp_item item;

	if (rlp_next(r, &item, e) < 0)
		return -1;
	if (item.kind != kind)
		return bad(e,
		        kind == RLP_LIST ? "a string where a list must be" : "a list where a string must be");
	*out = item;
	return 0;
}

int rlp_next_integer(struct rlp_in *r, uint8_t *out, size_t n, struct err *e)
{
	struct rlp_item item;

	if (rlp_next_kind(r, RLP_STRING, &item, e) < 0)
		return -1;
	if (item.n > n)
		return bad(e, "an integer is too large");
	if (item.n && item.p[0] == 0)
		return bad(e, "an integer begins with a zero");
	memset(out, 0, n);
	if (item.n)
		memcpy(out + n - item.n, item.p, item.n);
	return 0;
}

int rlp_next_u64(struct rlp_in *r, uint64_t *out, struct err *e)
{
	uint8_t be[8];
	uint64_t v = 0;

	if (rlp_next_integer(r, be, sizeof(be), e) < 0)
		return -1;
	for (int i = 0; i < 8; i++)
		v = v << 8 | be[i];
	*out = v;
	return 0;
}
