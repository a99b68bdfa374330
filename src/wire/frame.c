/* SPDX-License-Identifier: Apache-2.0 */
/* frame - see frame.h. */
#include "wire/frame.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "wire/entry.h"
#include "wire/scan.h"

#define REASON_MAX 255u /* of a later version: not known, and still a reason */

struct noting {
	struct arena *arena;
	bool full;
};

static void *allocate(void *ctx, size_t n)
{
	struct noting *t = ctx;
	void *p = arena_alloc(t->arena, n);

	if (!p)
		t->full = true;
	return p;
}

static void release(void *ctx, void *p)
{
	(void)ctx;
	(void)p;
}

static int unpack(const ProtobufCMessageDescriptor *d, struct arena *a, const uint8_t *bytes, size_t n,
        void *out, struct err *e)
{
	struct noting t = {.arena = a};
	ProtobufCAllocator alloc = {.alloc = allocate, .free = release, .allocator_data = &t};
	ProtobufCMessage *m = protobuf_c_message_unpack(d, &alloc, n, bytes);

	if (!m && t.full)
		return err_set(e, ERR_FULL, "no room to decode a %s of %zu bytes", d->short_name, n);
	if (!m)
		return err_set(e, ERR_CORRUPT, "the bytes are not a %s", d->short_name);
	memcpy(out, &m, sizeof(m));
	return 0;
}

size_t frame_size(const Link__Frame *f)
{
	return link__frame__get_packed_size(f);
}

size_t frame_encode(const Link__Frame *f, uint8_t *out)
{
	return link__frame__pack(f, out);
}

static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT, "a frame has %s", what);
}

int frame_name_ok(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++) {
		bool inner = i > 0 && i + 1 < n;

		if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') &&
		        !(name[i] == '-' && inner))
			return 0;
	}
	return n > 0 && n <= FRAME_NAME_MAX;
}

/* Differences of rising numbers from 1 on. */
static bool rising(const uint64_t *v, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		if (v[i] == 0 || v[i] > UINT64_MAX - sum)
			return false;
		sum += v[i];
	}
	return true;
}

static int hello_check(const Link__Hello *m, struct err *e)
{
	if (m->key.len != 32 || m->journal.len != 32)
		return bad(e, "a key or a journal of the wrong length");
	if (!frame_name_ok(m->name))
		return bad(e, "a name that no node can have");
	if (m->n_held > FRAME_HELD_MAX || m->tags.len != 4 * m->n_held || !rising(m->held, m->n_held))
		return bad(e, "held leases that cannot be");
	return 0;
}

static int welcome_check(const Link__Welcome *m, struct err *e)
{
	if (m->n_live > FRAME_HELD_MAX || m->n_cursor != m->n_live || !rising(m->live, m->n_live))
		return bad(e, "live leases that cannot be");
	return 0;
}

static int results_shape(const Link__Results *m, struct err *e)
{
	if (m->n_output != m->n_data || m->results.len == 0)
		return bad(e, "outputs that do not fit their number");
	for (size_t i = 1; i < m->n_output; i++)
		if (m->output[i] <= m->output[i - 1])
			return bad(e, "outputs out of order");
	return 0;
}

/* HOST:PORT, of letters, digits, and what is in addresses. */
static bool at_ok(const char *at, size_t least)
{
	size_t n = strnlen(at, FRAME_AT_MAX + 1);

	return n >= least && n <= FRAME_AT_MAX &&
	       strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") == n;
}

static bool far_ok(const Link__Held *m)
{
	for (size_t i = 0; i < m->n_far && i < FRAME_FAR_MAX; i++)
		if (!frame_name_ok(m->far[i]->name) || m->far[i]->us == 0)
			return false;
	return m->n_far <= FRAME_FAR_MAX;
}

static int near_check(const ProtobufCBinaryData *ticket, Link__Near *const *near, size_t n, struct err *e)
{
	if (ticket->len > FRAME_TICKET_BYTES || n > FRAME_NEAR_MAX)
		return bad(e, "a ticket that cannot be");
	for (size_t i = 0; i < n; i++) {
		if (!frame_name_ok(near[i]->name) || !at_ok(near[i]->at, 3) ||
		        near[i]->n_blob > FRAME_TICKET_BLOBS)
			return bad(e, "a neighbour that cannot be");
		for (size_t k = 0; k < near[i]->n_coming; k++)
			if (near[i]->coming[k] >= FRAME_TICKET_BLOBS)
				return bad(e, "a neighbour that cannot be");
		for (size_t k = 0; k < near[i]->n_blob; k++)
			if (near[i]->blob[k] >= FRAME_TICKET_BLOBS)
				return bad(e, "a neighbour that cannot be");
	}
	return 0;
}

static int ahead_check(const Link__Ahead *m, struct err *e)
{
	if (m->n_file > FRAME_AHEAD_MAX)
		return bad(e, "more files ahead than may be");
	for (size_t i = 0; i < m->n_file; i++)
		if (m->file[i]->sha256.len != 32 || m->file[i]->bytes == 0)
			return bad(e, "a file ahead that cannot be");
	return near_check(&m->ticket, m->near, m->n_near, e);
}

static int shape(const Link__Frame *f, struct err *e)
{
	switch (f->body_case) {
	case LINK__FRAME__BODY_HELLO:
		return hello_check(f->hello, e);
	case LINK__FRAME__BODY_WELCOME:
		return welcome_check(f->welcome, e);
	case LINK__FRAME__BODY_REFUSED:
		if (strlen(f->refused->reason) > FRAME_TEXT_MAX || strlen(f->refused->hint) > FRAME_TEXT_MAX)
			return bad(e, "a text that is too long");
		break;
	case LINK__FRAME__BODY_GRANT:
		if (f->grant->lease == 0 || f->grant->spec.len == 0 || strlen(f->grant->job) > FRAME_TEXT_MAX)
			return bad(e, "a lease that cannot be");
		return near_check(&f->grant->ticket, f->grant->near, f->grant->n_near, e);
	case LINK__FRAME__BODY_AHEAD:
		return ahead_check(f->ahead, e);
	case LINK__FRAME__BODY_HELD:
		if (f->held->blobs.len > FRAME_HELD_BYTES || f->held->blobs.len % 8 ||
		        !at_ok(f->held->at, 0) || !far_ok(f->held))
			return bad(e, "blobs that it cannot hold");
		break;
	case LINK__FRAME__BODY_STOP:
		if (f->stop->reason > REASON_MAX)
			return bad(e, "a reason that is not known");
		break;
	case LINK__FRAME__BODY_ADJUST:
		if (f->adjust->priority > 100)
			return bad(e, "a priority above 100");
		break;
	case LINK__FRAME__BODY_RESULTS:
		return results_shape(f->results, e);
	case LINK__FRAME__BODY_ENDED:
		if (f->ended->reason > REASON_MAX || strlen(f->ended->note) > FRAME_TEXT_MAX)
			return bad(e, "a reason that is not known");
		break;
	case LINK__FRAME__BODY_REVEAL:
		if (f->reveal->lease == 0)
			return bad(e, "a lease that cannot be");
		break;
	case LINK__FRAME__BODY_QUOTA:
		if (f->quota->document.len && f->quota->signature.len != 64)
			return bad(e, "a share of quotas without a signature");
		break;
	case LINK__FRAME__BODY_QUOTA_ASK:
	case LINK__FRAME__BODY_NODE:
	case LINK__FRAME__BODY_RESET:
	case LINK__FRAME__BODY_ACK_ONLY:
	case LINK__FRAME__BODY_STATUS:
	case LINK__FRAME__BODY__NOT_SET:
	case _LINK__FRAME__BODY__CASE_IS_INT_SIZE:
		break;
	}
	return 0;
}

int frame_decode(struct arena *a, const uint8_t *bytes, size_t n, const Link__Frame **out, struct err *e)
{
	Link__Frame *f;

	if (n > FRAME_BYTES_MAX)
		return err_set(
		        e, ERR_FULL, "%zu bytes are too many for a frame (at most %u)", n, FRAME_BYTES_MAX);
	if (scan_message_lenient(&link__frame__descriptor, bytes, n, FRAME_MEMBERS_MAX, e) < 0 ||
	        unpack(&link__frame__descriptor, a, bytes, n, &f, e) < 0 || shape(f, e) < 0)
		return -1;
	*out = f;
	return 0;
}

/* ---- what is inside ---- */

static int strictly(const ProtobufCMessageDescriptor *d, struct arena *a, const ProtobufCBinaryData *b,
        void *out, struct err *e)
{
	if (scan_message(d, b->data, b->len, FRAME_MEMBERS_MAX, e) < 0)
		return -1;
	return unpack(d, a, b->data, b->len, out, e);
}

int frame_results(struct arena *a, const ProtobufCBinaryData *bytes, const Wire__Results **out, struct err *e)
{
	Wire__Results *r;

	if (strictly(&wire__results__descriptor, a, bytes, &r, e) < 0 || results_check(r, e) < 0)
		return -1;
	*out = r;
	return 0;
}

/* What was passed over must not be written down with the rest. An offer has no oneof. */
static void forget_unknown(ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	m->n_unknown_fields = 0;
	m->unknown_fields = NULL;
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const uint8_t *value = (const uint8_t *)m + f->offset;
		ProtobufCMessage *one, **many;
		size_t n;

		CHECK(!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF));
		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			memcpy(&many, value, sizeof(many));
			memcpy(&n, (const uint8_t *)m + f->quantifier_offset, sizeof(n));
			for (size_t k = 0; k < n; k++)
				forget_unknown(many[k]);
			continue;
		}
		memcpy(&one, value, sizeof(one));
		if (one)
			forget_unknown(one);
	}
}

int frame_node(struct arena *a, const ProtobufCBinaryData *bytes, const Wire__NodeSet **out, struct err *e)
{
	const ProtobufCMessageDescriptor *d = &wire__node_set__descriptor;
	Wire__NodeSet *m;

	if (scan_message_lenient(d, bytes->data, bytes->len, FRAME_MEMBERS_MAX, e) < 0 ||
	        unpack(d, a, bytes->data, bytes->len, &m, e) < 0)
		return -1;
	forget_unknown(&m->base);
	*out = m;
	return 0;
}

int frame_principal(
        struct arena *a, const ProtobufCBinaryData *bytes, const Wire__Principal **out, struct err *e)
{
	Wire__Principal *m;

	if (strictly(&wire__principal__descriptor, a, bytes, &m, e) < 0)
		return -1;
	*out = m;
	return 0;
}

int frame_quota(struct arena *a, const ProtobufCBinaryData *bytes, const Wire__Quota **out, struct err *e)
{
	Wire__Quota *m;

	if (strictly(&wire__quota__descriptor, a, bytes, &m, e) < 0)
		return -1;
	if (m->n_shares > QUOTA_SHARES_MAX)
		return bad(e, "a share of more namespaces than can be");
	for (size_t i = 0; i < m->n_shares; i++)
		if (!quota_share_ok(m->shares[i]))
			return bad(e, "a share of quotas that cannot be");
	*out = m;
	return 0;
}

Wire__StopReason frame_reason(uint32_t reason)
{
	return protobuf_c_enum_descriptor_get_value(&wire__stop_reason__descriptor, (int)reason)
	               ? (Wire__StopReason)reason
	               : WIRE__STOP_REASON__CANCELLED;
}

const char *frame_kind_name(const Link__Frame *f)
{
	const ProtobufCFieldDescriptor *d =
	        protobuf_c_message_descriptor_get_field(&link__frame__descriptor, (unsigned)f->body_case);

	return d && f->body_case != LINK__FRAME__BODY__NOT_SET ? d->name : "unknown";
}
