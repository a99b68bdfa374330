/* SPDX-License-Identifier: Apache-2.0 */
/* entry - see entry.h. */
#include "wire/entry.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "wire/scan.h"

#define NAME_BYTES_MAX     63u /* of a node that joined */
#define STANDBY_ORIGIN_MAX 250u

static void *allocate(void *ctx, size_t n)
{
	return arena_alloc(ctx, n);
}

static void release(void *ctx, void *p)
{
	(void)ctx;
	(void)p;
}

void arena_allocator(struct arena *a, ProtobufCAllocator *out)
{
	out->alloc = allocate;
	out->free = release;
	out->allocator_data = a;
}

/* The same, remembering that it was full: libprotobuf-c has one answer for all that goes wrong. */
struct noting {
	struct arena *arena;
	bool full;
};

static void *allocate_noting(void *ctx, size_t n)
{
	struct noting *t = ctx;
	void *p = arena_alloc(t->arena, n);

	if (!p)
		t->full = true;
	return p;
}

static int unpack(const ProtobufCMessageDescriptor *d, struct arena *a, const uint8_t *bytes, size_t n,
        void *out, struct err *e)
{
	struct noting t = {.arena = a};
	ProtobufCAllocator alloc = {.alloc = allocate_noting, .free = release, .allocator_data = &t};
	ProtobufCMessage *m;

	if (n > ENTRY_BYTES_MAX)
		return err_set(e, ERR_CORRUPT, "%zu bytes are too many for a %s (at most %u)", n,
		        d->short_name, ENTRY_BYTES_MAX);
	if (scan_message(d, bytes, n, ENTRY_MEMBERS_MAX, e) < 0)
		return -1;
	m = protobuf_c_message_unpack(d, &alloc, n, bytes);
	if (!m && t.full)
		return err_set(e, ERR_FULL, "no room to decode a %s of %zu bytes", d->short_name, n);
	if (!m)
		return err_set(e, ERR_CORRUPT, "the bytes are not a %s", d->short_name);
	memcpy(out, &m, sizeof(m));
	return 0;
}

size_t entry_size(const Wire__Entry *en)
{
	return wire__entry__get_packed_size(en);
}

size_t entry_encode(const Wire__Entry *en, uint8_t *out)
{
	return wire__entry__pack(en, out);
}

static int bad_results(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT, "results have %s", what);
}

static bool column_ok(size_t n, uint64_t count)
{
	return n <= 1 || n == count;
}

static int outputs_check(const Wire__Results *r, struct err *e)
{
	uint64_t total = 0, digests = 0;

	for (uint64_t i = 0; r->n_outputs && i < r->count; i++) {
		total += RESULT_COLUMN(r, outputs, i);
		if (total > ENTRY_BYTES_MAX)
			return bad_results(e, "too many outputs");
	}
	if (!column_ok(r->n_output_bytes, total) || !column_ok(r->n_output_truncated, total) ||
	        (total == 0 && r->n_output_bytes + r->n_output_truncated > 0))
		return bad_results(e, "columns of outputs that do not fit their number");
	if (r->n_output_bytes == 1)
		digests = r->output_bytes[0] ? total : 0;
	else
		for (size_t i = 0; i < r->n_output_bytes; i++)
			digests += r->output_bytes[i] != 0;
	if (r->output_sha256.len != digests * 32)
		return bad_results(e, "digests that do not fit the outputs");
	return 0;
}

int results_check(const Wire__Results *r, struct err *e)
{
	uint64_t n = r->count;

	if (n == 0 || n > ENTRY_BYTES_MAX || r->first > UINT64_MAX - n)
		return bad_results(e, "a count that cannot be");
	if (!column_ok(r->n_outcome, n) || !column_ok(r->n_code, n) || !column_ok(r->n_start_us, n) ||
	        !column_ok(r->n_wall_us, n) || !column_ok(r->n_user_us, n) || !column_ok(r->n_system_us, n) ||
	        !column_ok(r->n_memory_bytes, n) || !column_ok(r->n_read_bytes, n) ||
	        !column_ok(r->n_write_bytes, n) || !column_ok(r->n_outputs, n))
		return bad_results(e, "columns that do not fit their count");
	for (size_t i = 0; i < r->n_outcome; i++)
		if (r->outcome[i] < WIRE__OUTCOME__SUCCEEDED || r->outcome[i] > WIRE__OUTCOME__STOPPED)
			return bad_results(e, "an outcome that no attempt can have");
	if (r->commitments.len && (r->commitments.len != 32 * n || r->nonces.len || r->n_outputs))
		return bad_results(e, "commitments that do not fit their count, or more beside them");
	if (r->nonces.len && r->nonces.len != RESULT_NONCE_BYTES * n)
		return bad_results(e, "nonces that do not fit their count");
	for (size_t i = 0; i < r->n_outcome && (r->commitments.len || r->nonces.len); i++)
		if (r->outcome[i] != WIRE__OUTCOME__SUCCEEDED)
			return bad_results(e, "a commitment to something else than a success");
	return outputs_check(r, e);
}

struct results_at results_at(const Wire__Results *r, uint64_t i, uint64_t small_max)
{
	struct results_at at = {0};

	for (uint64_t k = 0; r->n_outputs && k < i; k++)
		for (uint32_t o = RESULT_COLUMN(r, outputs, k); o > 0; o--) {
			uint64_t bytes = RESULT_COLUMN(r, output_bytes, at.outputs);

			at.outputs++;
			at.digests += bytes != 0;
			at.small_bytes += bytes <= small_max ? bytes : 0;
		}
	return at;
}

void results_part(const Wire__Results *r, uint64_t i, uint64_t n, Wire__Results *out)
{
	struct results_at from = results_at(r, i, 0), to = results_at(r, i + n, 0);
	uint64_t outputs = to.outputs - from.outputs;
	bool first = true;

	*out = *r;
	out->first = r->first + i;
	out->count = n;
#define PART(col)                                                                                            \
	if (r->n_##col > 1) {                                                                                \
		out->n_##col = n;                                                                            \
		out->col = r->col + i;                                                                       \
	}
	PART(outcome)
	PART(code)
	PART(start_us)
	PART(wall_us)
	PART(user_us)
	PART(system_us)
	PART(memory_bytes)
	PART(read_bytes)
	PART(write_bytes)
	PART(outputs)
#undef PART
#define PART(col)                                                                                            \
	if (r->n_##col > 1 || outputs == 0) {                                                                \
		out->n_##col = outputs;                                                                      \
		out->col = r->col + from.outputs;                                                            \
	}
	PART(output_bytes)
	PART(output_truncated)
#undef PART
	if (r->n_output_truncated == 0)
		out->n_output_truncated = 0;
	if (r->n_output_bytes == 0)
		out->n_output_bytes = 0;
	if (r->commitments.len)
		out->commitments = (ProtobufCBinaryData){32 * n, r->commitments.data + 32 * i};
	if (r->nonces.len)
		out->nonces = (ProtobufCBinaryData){
		        RESULT_NONCE_BYTES * n, r->nonces.data + RESULT_NONCE_BYTES * i};
	out->output_sha256.data = r->output_sha256.data + 32 * from.digests;
	out->output_sha256.len = 32 * (to.digests - from.digests);
	for (uint64_t k = 0; k < i; k++)
		first = first && RESULT_COLUMN(r, outcome, k) == WIRE__OUTCOME__SUCCEEDED;
	for (uint64_t k = i; first && k < i + n; k++)
		if (RESULT_COLUMN(r, outcome, k) != WIRE__OUTCOME__SUCCEEDED)
			return;
	out->note = (char *)"";
}

/* What an entry must have so that apply() can look at it. */
static int receipts_check(const Wire__Receipts *r, struct err *e)
{
	if (r->n_results == 0 || r->n_results != r->n_leases || r->n_results != r->n_jobs ||
	        r->key.len != 32 || r->root.len != 32 || r->signature.len != 64)
		return err_set(e, ERR_CORRUPT, "receipts have columns or digests of the wrong length");
	for (size_t i = 1; i < r->n_results; i++)
		if (r->results[i] <= r->results[i - 1])
			return err_set(e, ERR_CORRUPT, "receipts are out of order");
	return 0;
}

static int token_check(const Wire__TokenSet *m, struct err *e)
{
	if (m->hash.len != 32 || strlen(m->used_by) > NAME_BYTES_MAX || (m->revoked && *m->used_by))
		return err_set(e, ERR_CORRUPT, "a token has a hash or a name of the wrong length");
	return 0;
}

static int cert_check(const Wire__CertSet *m, struct err *e)
{
	size_t n = strlen(m->node);

	if (n == 0 || n > NAME_BYTES_MAX ||
	        (!m->revoked && (m->serial.len != 16 || m->sha256.len != 32 || m->key.len != 32 ||
	                                m->journal.len != 32)))
		return err_set(e, ERR_CORRUPT, "a certificate has a name or digests of the wrong length");
	if (strlen(m->standby) > STANDBY_ORIGIN_MAX || m->standby_broker > 65535)
		return err_set(e, ERR_CORRUPT, "a standby has an address that is too long");
	return 0;
}

static int quota_check(const Wire__QuotaSet *m, struct err *e)
{
	bool bad = m->document.len == 0 || (m->node == 0) != (m->signature.len == 64) ||
	           m->n_shares > QUOTA_SHARES_MAX;

	for (size_t i = 0; i < m->n_shares && !bad; i++)
		bad = !quota_share_ok(m->shares[i]);
	return bad ? err_set(e, ERR_CORRUPT, "a share of quotas has parts that do not fit") : 0;
}

bool quota_share_ok(const Wire__QuotaShare *s)
{
	size_t n = strlen(s->namespace_);

	return n > 0 && n < 64 && s->n_may <= 16 && s->n_local <= 16 && s->n_counted <= 16 && s->n_used <= 16;
}

static int shape(const Wire__Entry *en, struct err *e)
{
	switch (en->body_case) {
	case WIRE__ENTRY__BODY__NOT_SET:
		return err_set(e, ERR_CORRUPT, "the entry is empty");
	case WIRE__ENTRY__BODY_JOB_SUBMITTED:
		if (!en->job_submitted->spec)
			return err_set(e, ERR_CORRUPT, "a submitted job has no specification");
		if (en->job_submitted->delegated &&
		        (!en->job_submitted->delegated->lease || en->job_submitted->spec->n_steps != 1))
			return err_set(e, ERR_CORRUPT, "a delegated job is not a lease of one step");
		break;
	case WIRE__ENTRY__BODY_NODE_SET:
		if ((en->node_set->key.len && en->node_set->key.len != 32) ||
		        (en->node_set->journal.len && en->node_set->journal.len != 32))
			return err_set(e, ERR_CORRUPT, "a node has a key or a journal of the wrong length");
		break;
	case WIRE__ENTRY__BODY_LINK_SET:
		if ((en->link_set->key.len && en->link_set->key.len != 32) ||
		        strlen(en->link_set->name) > LINK_NAME_MAX)
			return err_set(e, ERR_CORRUPT, "a hub has a name or key of the wrong length");
		break;
	case WIRE__ENTRY__BODY_LEASE_GRANTED:
		if (en->lease_granted->count == 0)
			return err_set(e, ERR_CORRUPT, "a lease has no tasks");
		break;
	case WIRE__ENTRY__BODY_RESULTS:
		return results_check(en->results, e);
	case WIRE__ENTRY__BODY_RECEIPTS:
		return receipts_check(en->receipts, e);
	case WIRE__ENTRY__BODY_TOKEN_SET:
		return token_check(en->token_set, e);
	case WIRE__ENTRY__BODY_CERT_SET:
		return cert_check(en->cert_set, e);
	case WIRE__ENTRY__BODY_LATE_RESULT:
		if (en->late_result->count == 0 ||
		        !column_ok(en->late_result->n_outcome, en->late_result->count))
			return err_set(e, ERR_CORRUPT, "a late result has columns that do not fit its count");
		break;
	case WIRE__ENTRY__BODY_QUOTA_SET:
		return quota_check(en->quota_set, e);
	case WIRE__ENTRY__BODY_LEASE_PARKED:
	case WIRE__ENTRY__BODY_KEY_SET:
	case WIRE__ENTRY__BODY_BOOT:
	case WIRE__ENTRY__BODY_NODE_LINK:
	case WIRE__ENTRY__BODY_NODE_FACTS:
	case WIRE__ENTRY__BODY_NAMESPACE_SET:
	case WIRE__ENTRY__BODY_REFUSED:
	case WIRE__ENTRY__BODY_LEASE_STOPPING:
	case WIRE__ENTRY__BODY_LEASE_ENDED:
	case WIRE__ENTRY__BODY_JOB_CANCELLED:
	case WIRE__ENTRY__BODY_JOB_RETRIED:
	case WIRE__ENTRY__BODY_JOB_ADJUSTED:
	case WIRE__ENTRY__BODY_EXPIRED:
	case WIRE__ENTRY__BODY_COMPARED:
	case WIRE__ENTRY__BODY_JOB_FORGOTTEN:
	case _WIRE__ENTRY__BODY__CASE_IS_INT_SIZE:
		break;
	}
	return 0;
}

/* A varint at *p, which it moves; false: it does not end. */
static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
	*out = 0;
	for (int shift = 0; *p < end && shift < 64; shift += 7) {
		*out |= (uint64_t)(**p & 0x7f) << shift;
		if (!(*(*p)++ & 0x80))
			return true;
	}
	return false;
}

Wire__Entry__BodyCase entry_peek(const uint8_t *bytes, size_t n, uint64_t *out_id)
{
	const uint8_t *p = bytes, *end = bytes + n;
	uint64_t tag, v;

	*out_id = 0;
	while (p < end) {
		if (!varint(&p, end, &tag) || !varint(&p, end, &v))
			return WIRE__ENTRY__BODY__NOT_SET;
		if ((tag & 7) == 0)
			continue; /* the time */
		if ((tag & 7) != 2 || v > (uint64_t)(end - p))
			return WIRE__ENTRY__BODY__NOT_SET;
		end = p + v;
		if (p < end && *p == (1 << 3 | 0)) {
			p++;
			(void)varint(&p, end, out_id);
		}
		return (Wire__Entry__BodyCase)(tag >> 3);
	}
	return WIRE__ENTRY__BODY__NOT_SET;
}

bool entry_is_commitment(const uint8_t *bytes, size_t n)
{
	const uint8_t *p = bytes, *end = bytes + n;
	bool inside = false;
	uint64_t tag, v;

	while (p < end && varint(&p, end, &tag) && varint(&p, end, &v)) {
		if ((tag & 7) == 0)
			continue;
		if ((tag & 7) != 2 || v > (uint64_t)(end - p))
			return false;
		if (!inside) {
			if (tag >> 3 != WIRE__ENTRY__BODY_RESULTS)
				return false;
			inside = true;
			end = p + v;
			continue;
		}
		if (tag >> 3 == 19) /* Results.commitments */
			return v > 0;
		p += v;
	}
	return false;
}

size_t results_size(const Wire__Results *r)
{
	return wire__results__get_packed_size(r);
}

size_t results_encode(const Wire__Results *r, uint8_t *out)
{
	return wire__results__pack(r, out);
}

int results_decode(struct arena *a, const uint8_t *bytes, size_t n, const Wire__Results **out, struct err *e)
{
	Wire__Results *r;

	if (unpack(&wire__results__descriptor, a, bytes, n, &r, e) < 0 || results_check(r, e) < 0)
		return -1;
	*out = r;
	return 0;
}

size_t statement_size(const Wire__Statement *s)
{
	return wire__statement__get_packed_size(s);
}

size_t statement_encode(const Wire__Statement *s, uint8_t *out)
{
	return wire__statement__pack(s, out);
}

size_t receipt_file_size(const Wire__ReceiptFile *f)
{
	return wire__receipt_file__get_packed_size(f);
}

size_t receipt_file_encode(const Wire__ReceiptFile *f, uint8_t *out)
{
	return wire__receipt_file__pack(f, out);
}

int receipt_file_decode(
        struct arena *a, const uint8_t *bytes, size_t n, const Wire__ReceiptFile **out, struct err *e)
{
	Wire__ReceiptFile *f;

	if (unpack(&wire__receipt_file__descriptor, a, bytes, n, &f, e) < 0)
		return -1;
	*out = f;
	return 0;
}

int entry_decode(struct arena *a, const uint8_t *bytes, size_t n, const Wire__Entry **out, struct err *e)
{
	Wire__Entry *en;

	if (unpack(&wire__entry__descriptor, a, bytes, n, &en, e) < 0 || shape(en, e) < 0)
		return -1;
	*out = en;
	return 0;
}

size_t jobspec_values(const Wire__JobSpec *spec)
{
	return scan_values(&spec->base);
}

size_t jobspec_size(const Wire__JobSpec *spec)
{
	return wire__job_spec__get_packed_size(spec);
}

size_t jobspec_encode(const Wire__JobSpec *spec, uint8_t *out)
{
	return wire__job_spec__pack(spec, out);
}

int jobspec_decode(struct arena *a, const uint8_t *bytes, size_t n, const Wire__JobSpec **out, struct err *e)
{
	Wire__JobSpec *spec;

	if (unpack(&wire__job_spec__descriptor, a, bytes, n, &spec, e) < 0)
		return -1;
	*out = spec;
	return 0;
}

const char *entry_kind_name(const Wire__Entry *en)
{
	/* The field's name in the schema is the kind's name. */
	const ProtobufCFieldDescriptor *f =
	        protobuf_c_message_descriptor_get_field(&wire__entry__descriptor, (unsigned)en->body_case);

	return f && en->body_case != WIRE__ENTRY__BODY__NOT_SET ? f->name : "unknown";
}

const char *outcome_name(Wire__Outcome o)
{
	static const char *const names[] = {"succeeded", "failed", "signaled", "timed_out", "out_of_memory",
	        "cannot_start", "output_missing", "crashed", "lost", "stopped", "queue_timeout", "disagreed",
	        "skipped"};

	return (unsigned)o < ARRAY_LEN(names) ? names[o] : "unknown";
}

const char *stop_reason_name(Wire__StopReason r)
{
	static const char *const names[] = {"done", "cancelled", "preempted", "job_timeout", "node_lost",
	        "worker_crashed", "keeper_lost", "expired", "could_not_start", "draining", "superseded",
	        "gang_ended"};

	return (unsigned)r < ARRAY_LEN(names) ? names[r] : "unknown";
}
