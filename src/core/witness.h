/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witness - the protocol between logs and their witnesses, both sides: C2SP tlog-witness v1.0.0 and tlog-cosignature.
 *
 * A witness cosigns a log's head when it extends what it cosigned before for that log, and remembers it. Not where it remembers
 * (io/witness_store) and not who carries the bytes. Pure; what is parsed points into the bytes that were given.
 *
 * POST add-checkpoint: "old N", a consistency proof, an empty line, the log's checkpoint (tlogproof.h); the answers are below.
 */
#ifndef OSIER_CORE_WITNESS_H
#define OSIER_CORE_WITNESS_H

#include "core/policy.h"
#include "core/tlogproof.h"

#define WITNESS_REQUEST_MAX (16u * 1024u) /* bytes; real ones have less than 4 KiB */
#define WITNESS_ANSWER_MAX  (16u * 1024u)
#define WITNESS_TEXT_MAX                                                                                     \
	(CHECKPOINT_TEXT_MAX + 1024u) /* of a checkpoint that is cosigned, extensions included */
#define WITNESS_SIZE_TYPE "text/x.tlog.size"

enum witness_status {
	WITNESS_COSIGNED = 200,  /* the body is the cosignature's line */
	WITNESS_MALFORMED = 400, /* it is no request, or its old size is above its checkpoint's */
	WITNESS_UNTRUSTED = 403, /* no trusted key of that log signed it, or one seems to have, and did not */
	WITNESS_UNKNOWN = 404,   /* a log that is not witnessed here */
	WITNESS_CONFLICT = 409,  /* its old size is not the one that was cosigned last, which is the body */
	WITNESS_REFUSED = 422,   /* it does not extend what was cosigned */
};

/* ---- the witness's side ---- */

struct witness_request {
	struct addcheckpoint body;
	struct note note;
	struct checkpoint head;
};
/* Is it a request with a checkpoint that one of these logs signed? WITNESS_COSIGNED: so far; else the status, with *e saying why.
 * A log's origin is its key's name; a policy may hold several keys of one. */
enum witness_status witness_read(const struct policy *logs, const struct note_verifier *v, const char *bytes,
        size_t n, struct witness_request *out, struct err *e);

/* What a witness cosigned last for an origin; size 0 and the root of nothing when it never did. */
struct witness_last {
	uint64_t size;
	uint8_t root[32];
};
/* May the head be cosigned by who cosigned `last`? WITNESS_COSIGNED: yes, once the head is durable as the new last. *out_fork: the log
 * signed two different trees of one size, which proves that it shows two faces. */
enum witness_status witness_decide(const struct merkle_hash *h, const struct witness_last *last,
        const struct witness_request *r, bool *out_fork, struct err *e);

/* ---- the log's side ---- */

/* The size in the body of a 409: decimal and a newline. */
bool witness_size(const char *body, size_t n, uint64_t *out);

/* The line with which `k` cosigns `head` in the body of a 200; other lines are nobody's business. ERR_CORRUPT: there is none, or
 * it does not verify, or the body is no lines of signatures. *out_time: seconds since 1970. */
int witness_line(const struct note *head, const struct note_key *k, const struct note_verifier *v,
        const char *body, size_t n, char out[NOTE_LINE_MAX], uint64_t *out_time, struct err *e);

#endif
