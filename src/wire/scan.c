/* SPDX-License-Identifier: Apache-2.0 */
/* scan - see scan.h. Wire format: protobuf.dev/programming-guides/encoding. */
#include "wire/scan.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"

#define DEPTH_MAX 8u

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct scan {
	const uint8_t *p, *end;
};

/* What is left of the bound, and whether unknown fields are passed over. */
struct bound {
	uint32_t members;
	bool lenient;
};

static int corrupt(const ProtobufCMessageDescriptor *d, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "the bytes are not a %s", d->short_name);
}

static bool varint(struct scan *s, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70 && s->p < s->end; shift += 7) {
		uint8_t b = *s->p++;

		v |= shift < 64 ? (uint64_t)(b & 0x7f) << shift : 0;
		if (!(b & 0x80)) {
			*out = v;
			return true;
		}
	}
	return false;
}

static bool is_number(ProtobufCType t)
{
	return t != PROTOBUF_C_TYPE_STRING && t != PROTOBUF_C_TYPE_BYTES && t != PROTOBUF_C_TYPE_MESSAGE;
}

static int number(
        const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f, struct scan *s, struct err *e)
{
	uint64_t v;

	if (!varint(s, &v))
		return corrupt(d, e);
	if (f->type != PROTOBUF_C_TYPE_ENUM)
		return 0;
	if (v <= INT32_MAX && protobuf_c_enum_descriptor_get_value(f->descriptor, (int)v))
		return 0;
	return err_set(e, ERR_VERSION, "value %llu of '%s' in %s is not known to this osier",
	        (unsigned long long)v, f->name, d->short_name);
}

static int message(
        const ProtobufCMessageDescriptor *d, struct scan s, unsigned depth, struct bound *b, struct err *e);

/* The body of a length-delimited field. */
static int delimited(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f, struct scan in,
        unsigned depth, struct bound *b, struct err *e)
{
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return depth < DEPTH_MAX ? message(f->descriptor, in, depth + 1, b, e) : corrupt(d, e);
	if (f->type == PROTOBUF_C_TYPE_STRING && memchr(in.p, 0, (size_t)(in.end - in.p)))
		return corrupt(d, e);
	if (is_number(f->type))
		while (in.p < in.end)
			if (number(d, f, &in, e) < 0)
				return -1;
	return 0;
}

static int field(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f, unsigned wire,
        struct scan *s, unsigned depth, struct bound *b, struct err *e)
{
	uint64_t len;
	struct scan in;

	if (wire == WIRE_VARINT)
		return is_number(f->type) ? number(d, f, s, e) : corrupt(d, e);
	if (wire != WIRE_BYTES || (is_number(f->type) && f->label != PROTOBUF_C_LABEL_REPEATED))
		return corrupt(d, e);
	if (!varint(s, &len) || len > (uint64_t)(s->end - s->p))
		return corrupt(d, e);
	in = (struct scan){s->p, s->p + len};
	s->p += len;
	return delimited(d, f, in, depth, b, e);
}

/* A field of a later version. */
static bool pass(unsigned wire, struct scan *s)
{
	uint64_t v, n = wire == WIRE_FIXED64 ? 8 : 4;

	if (wire == WIRE_VARINT)
		return varint(s, &v);
	if (wire == WIRE_BYTES) {
		if (!varint(s, &n))
			return false;
	} else if (wire != WIRE_FIXED64 && wire != WIRE_FIXED32) {
		return false;
	}
	if (n > (uint64_t)(s->end - s->p))
		return false;
	s->p += n;
	return true;
}

static int message(
        const ProtobufCMessageDescriptor *d, struct scan s, unsigned depth, struct bound *b, struct err *e)
{
	uint64_t seen = 0, tag;
	bool body = false;

	CHECK(d->n_fields <= 64);
	while (s.p < s.end) {
		const ProtobufCFieldDescriptor *f;
		uint64_t bit;

		if (!varint(&s, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3)
			return corrupt(d, e);
		if (b->members-- == 0)
			return err_set(e, ERR_FULL, "the %s has too many values", d->short_name);
		f = protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
		if (!f && b->lenient) {
			if (!pass(tag & 7, &s))
				return corrupt(d, e);
			continue;
		}
		if (!f)
			return err_set(e, ERR_VERSION, "field %u of %s is not known to this osier",
			        (unsigned)(tag >> 3), d->short_name);
		bit = 1ull << (f - d->fields);
		if (f->label != PROTOBUF_C_LABEL_REPEATED && (seen & bit))
			return corrupt(d, e);
		seen |= bit;
		if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
			if (body)
				return corrupt(d, e);
			body = true;
		}
		if (field(d, f, tag & 7, &s, depth, b, e) < 0)
			return -1;
	}
	return 0;
}

/* Of the field at `at`, without what is within. */
static bool is_there(const ProtobufCFieldDescriptor *f, const uint8_t *base)
{
	const uint8_t *at = base + f->offset;
	uint32_t which;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		memcpy(&which, base + f->quantifier_offset, sizeof(which));
		return which == f->id;
	}
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(const ProtobufCMessage *const *)(const void *)at != NULL;
	if (f->type == PROTOBUF_C_TYPE_STRING)
		return **(const char *const *)(const void *)at != '\0';
	return true;
}

static size_t values(const ProtobufCMessage *m, unsigned depth)
{
	const uint8_t *base = (const uint8_t *)m;
	size_t sum = 0, n;

	CHECK(depth <= DEPTH_MAX);
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const ProtobufCMessage *const *in = (const void *)(base + f->offset);

		if (f->label != PROTOBUF_C_LABEL_REPEATED) {
			n = is_there(f, base);
		} else {
			memcpy(&n, base + f->quantifier_offset, sizeof(n));
			in = *(const ProtobufCMessage *const *const *)(const void *)in;
		}
		sum += is_number(f->type) && n ? 1 : n;
		for (size_t k = 0; f->type == PROTOBUF_C_TYPE_MESSAGE && k < n; k++)
			sum += values(in[k], depth + 1);
	}
	return sum;
}

size_t scan_values(const ProtobufCMessage *m)
{
	return values(m, 0);
}

static int scan(
        const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t n, struct bound b, struct err *e)
{
	if (n == 0)
		return 0;
	return message(d, (struct scan){bytes, bytes + n}, 0, &b, e);
}

int scan_message(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t n, uint32_t members_max,
        struct err *e)
{
	return scan(d, bytes, n, (struct bound){members_max, false}, e);
}

int scan_message_lenient(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t n,
        uint32_t members_max, struct err *e)
{
	return scan(d, bytes, n, (struct bound){members_max, true}, e);
}
