/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_entry - any message of osier.proto as JSON, by its own description, so that a new field shows without a line here.
 *
 * Keys are the names in osier.proto. Fields with their default value are left out, as Protocol Buffers do. Depth is that
 * of the schema, which is no circle.
 */
#include "engine/api_entry.h"

#include <ctype.h>
#include <string.h>

#include "wire/entry.h"

static void enum_json(struct json_out *o, const ProtobufCEnumDescriptor *d, int v)
{
	const ProtobufCEnumValue *e = protobuf_c_enum_descriptor_get_value(d, v);
	char name[64];
	size_t i;

	if (!e) {
		jo_i64(o, v);
		return;
	}
	for (i = 0; e->name[i] && i + 1 < sizeof(name); i++)
		name[i] = (char)tolower((unsigned char)e->name[i]);
	name[i] = 0;
	jo_str(o, name);
}

static void value_json(struct json_out *o, const ProtobufCFieldDescriptor *f, const void *p)
{
	const ProtobufCBinaryData *b = p;

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		jo_i64(o, *(const int32_t *)p);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		jo_i64(o, *(const int64_t *)p);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		jo_u64(o, *(const uint32_t *)p);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		if (*(const uint64_t *)p > INT64_MAX) /* a seed: many readers of JSON have no room for it */
			jo_strf(o, "%llu", *(const unsigned long long *)p);
		else
			jo_u64(o, *(const uint64_t *)p);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		jo_bool(o, *(const protobuf_c_boolean *)p);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		enum_json(o, f->descriptor, *(const int *)p);
		break;
	case PROTOBUF_C_TYPE_STRING:
		jo_str(o, *(char *const *)p);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		jo_hex(o, b->data, b->len);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		message_json(o, *(ProtobufCMessage *const *)p);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE: /* the schema has none: no floats in stored bytes */
		jo_null(o);
		break;
	}
}

/* Bytes of one value in a repeated field. */
static size_t value_bytes(ProtobufCType t)
{
	switch (t) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_ENUM:
	case PROTOBUF_C_TYPE_FLOAT:
		return 4;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	}
	return 1;
}

static bool is_zero(const ProtobufCFieldDescriptor *f, const void *p)
{
	static const uint8_t zero[16];
	const ProtobufCBinaryData *b = p;
	const char *s;

	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return b->len == 0;
	if (f->type == PROTOBUF_C_TYPE_STRING) {
		s = *(char *const *)p;
		return !s || !*s;
	}
	return memcmp(p, zero, value_bytes(f->type)) == 0;
}

static void field_json(struct json_out *o, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const uint8_t *base = (const uint8_t *)m, *p = base + f->offset;

	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		size_t n = *(const size_t *)(const void *)(base + f->quantifier_offset);
		const uint8_t *v = *(uint8_t *const *)(const void *)p;

		if (!n)
			return;
		jo_key(o, f->name);
		jo_array(o);
		for (size_t i = 0; i < n; i++)
			value_json(o, f, v + i * value_bytes(f->type));
		jo_array_end(o);
		return;
	}
	/* Of a oneof, only the field that is set has bytes at its offset. */
	if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
	        *(const uint32_t *)(const void *)(base + f->quantifier_offset) != f->id)
		return;
	if (is_zero(f, p))
		return;
	jo_key(o, f->name);
	value_json(o, f, p);
}

void message_json(struct json_out *o, const ProtobufCMessage *m)
{
	jo_object(o);
	for (unsigned i = 0; m && i < m->descriptor->n_fields; i++)
		field_json(o, m, &m->descriptor->fields[i]);
	jo_object_end(o);
}

void entry_json(struct json_out *o, uint64_t seq, const uint8_t leaf[32], const Wire__Entry *en)
{
	jo_object(o);
	jo_key(o, "seq");
	jo_u64(o, seq);
	jo_key(o, "leaf");
	jo_hex(o, leaf, 32);
	jo_key(o, "time");
	jo_time(o, en->time_ns);
	jo_key(o, "kind");
	jo_str(o, entry_kind_name(en));
	jo_key(o, "body");
	/* Every member of the oneof is a message: its pointer is where the first one's is. */
	message_json(o, (const ProtobufCMessage *)en->boot);
	jo_object_end(o);
}
