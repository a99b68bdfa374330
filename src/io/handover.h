/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handover - the files that make another machine able to be this hub: read here, written there.
 *
 * The authority (hub/ca.key, hub/ca.crt) and the keys of the ledger (keys/ROLE.key and those of before), whole, as they lie here: one that is
 * sealed stays sealed. Not the key with which this node witnesses other logs: what was cosigned with it lies in witness.db, and two
 * machines that do not know of each other must not cosign with one key. Who has these files can be the hub; they go over mutual TLS
 * alone (engine/hub_keys.c), and lie as 0600 on both ends. Blocking; one thread at a time.
 */
#ifndef OSIER_IO_HANDOVER_H
#define OSIER_IO_HANDOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define HANDOVER_FILES_MAX 100u

/* An object: names and base64. NULL: says why. */
json_t *handover_read(const char *state_dir, struct err *e);
/* Of such an object: two machines with the same files have the same. */
void handover_digest(const json_t *files, uint8_t out[32]);
/* Write what is new, and take away keys that are not among them any more, of roles that have one. The authority must be the one with this
 * digest (its first n bytes), and its key that of its certificate: a hub whose disk is damaged must not damage the copy. ERR_DENIED: it is
 * another; ERR_CORRUPT: not such an object; nothing was written then. */
int handover_write(const char *state_dir, const json_t *files, const uint8_t *ca_sha256, size_t n,
        bool *out_changed, struct err *e);

#endif
