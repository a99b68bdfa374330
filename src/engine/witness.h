/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witness - this node as a witness of other logs: bytes of a request in, status and bytes of the answer out.
 *
 * Which logs, says the file that the configuration names (ledger.witness, a tlog-policy: its lines 'log VKEY'). The key is
 * STATE/keys/witness.key, the memory STATE/witness.db; a key without its memory is not used, since what it signed is not known.
 * Any thread: one request at a time goes on, others wait for it. Each costs an fsync.
 */
#ifndef OSIER_ENGINE_WITNESS_H
#define OSIER_ENGINE_WITNESS_H

#include "base/err.h"
#include "core/witness.h"
#include "io/keys.h"

struct witness;

/* policy: the file's name; "": no log is named by one. name: of the key, when it is made; secret: see keys.h. ERR_INVALID: the policy, with its line. ERR_CORRUPT: the
 * key is there and its memory is not. */
int witness_open(const char *state_dir, const char *policy, const char *name, const char *secret,
        struct witness **out, struct err *e);
void witness_close(struct witness *w);
void witness_vkey(const struct witness *w, char out[NOTE_VKEY_MAX]);

struct witness_reply {
	unsigned status; /* enum witness_status, or 500 when it cannot be kept */
	const char *type;
	char body[512];
	size_t n;
};
/* POST add-checkpoint. What is cosigned is durable when it returns. */
void witness_add_checkpoint(
        struct witness *w, const void *body, size_t n, uint64_t now_s, struct witness_reply *out);

/* The same for who trusts other logs than the file names: those of `logs`, for this request. */
void witness_add_checkpoint_of(struct witness *w, const struct policy *logs, const void *body, size_t n,
        uint64_t now_s, struct witness_reply *out);

struct witness_seen {
	char origin[NOTE_NAME_MAX + 1];
	struct witness_last last; /* size 0: nothing was cosigned yet */
	uint64_t time_s, forks;   /* forks: how often it signed another tree of a size that was cosigned */
};
/* What was cosigned last for this origin; false: nothing yet. */
bool witness_last_of(struct witness *w, const char *origin, struct witness_seen *out);
/* The logs that are witnessed, those of the file first, as many as there is room for; returns how many. */
size_t witness_logs(struct witness *w, struct witness_seen *out, size_t max);

/* The newest cosigned checkpoint of the log whose origin hashes to this, malloc'd; false: none. */
bool witness_checkpoint(struct witness *w, const uint8_t origin_sha256[32], char **out, size_t *out_n);

#endif
