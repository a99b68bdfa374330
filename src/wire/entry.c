/* SPDX-License-Identifier: Apache-2.0 */
/* entry - see entry.h. */
#include "wire/entry.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "wire/scan.h"

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
	return outputs_check(r, e);
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

static int shape(const Wire__Entry *en, struct err *e)
{
	switch (en->body_case) {
	case WIRE__ENTRY__BODY__NOT_SET:
		return err_set(e, ERR_CORRUPT, "the entry is empty");
	case WIRE__ENTRY__BODY_JOB_SUBMITTED:
		if (!en->job_submitted->spec)
			return err_set(e, ERR_CORRUPT, "a submitted job has no specification");
		break;
	case WIRE__ENTRY__BODY_LEASE_GRANTED:
		if (en->lease_granted->count == 0)
			return err_set(e, ERR_CORRUPT, "a lease has no tasks");
		break;
	case WIRE__ENTRY__BODY_RESULTS:
		return results_check(en->results, e);
	case WIRE__ENTRY__BODY_RECEIPTS:
		return receipts_check(en->receipts, e);
	case WIRE__ENTRY__BODY_KEY_SET:
	case WIRE__ENTRY__BODY_BOOT:
	case WIRE__ENTRY__BODY_NODE_SET:
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
	        "worker_crashed", "keeper_lost", "expired", "could_not_start", "draining"};

	return (unsigned)r < ARRAY_LEN(names) ? names[r] : "unknown";
}
