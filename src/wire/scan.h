/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan - walk Protocol Buffers bytes with their schema before anything is allocated for them.
 *
 * libprotobuf-c decodes hostile bytes safely but generously: unknown fields are kept, repeated singular fields are merged, every
 * value costs tens of bytes. What passes here is known field by field, and bounded. Pure.
 */
#ifndef OSIER_WIRE_SCAN_H
#define OSIER_WIRE_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"

/* Check that bytes[0..n) are one message of the schema: known fields and enum values only, the right wire types, singular fields
 * at most once, at most one member of a oneof, no NUL inside strings, at most members_max values (packed numbers not counted).
 * ERR_CORRUPT, ERR_VERSION (unknown field or enum value) or ERR_FULL (too many values). */
int scan_message(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t n, uint32_t members_max,
        struct err *e);

/* The same, but passes over fields that are not in the schema (each counts as a value): for what a neighbour of a later minor
 * version says, never for what is journaled. Unknown enum values are refused all the same. */
int scan_message_lenient(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t n,
        uint32_t members_max, struct err *e);

/* How many values scan_message() will count in the bytes of `m`, or a few more: a number that is 0 counts, too. */
size_t scan_values(const ProtobufCMessage *m);

#endif
