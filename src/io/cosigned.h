/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cosigned - heads of the log with what witnesses said to them.
 *
 * Kept in ledger.db (io/logstore) in tables of their own:
 *	cosigned     (size, root, note, met)      note: text and the log's signatures; met: by the policy of then
 *	cosignatures (size, vkey, line, time_s)
 *	cosigners    (vkey, size, time_s)         the newest head that each cosigned
 * Heads below the newest whose quorum was met go; it covers all that they cover. Of later ones COSIGNED_OPEN_MAX stay.
 * Nothing is verified here: policy_check() comes before.
 */
#ifndef OSIER_IO_COSIGNED_H
#define OSIER_IO_COSIGNED_H

#include "core/policy.h"
#include "io/logstore.h"

#define COSIGNED_OPEN_MAX 64

/* Keep the cosignatures that `trust` found in the note, beside those that the head has already. *out_met: with them its quorum
 * is met. On a connection of its own: for any thread, and blocking as long as something is being published. ERR_NOTFOUND:
 * nothing was published yet. */
int cosigned_put(const char *dir, const struct policy *p, const struct note *n, const struct checkpoint *c,
        const struct policy_result *trust, bool *out_met, struct err *e);

/* The newest head whose quorum was met: its size, 0: none. */
int cosigned_met(struct logstore *l, uint64_t *out_size, struct err *e);
/* What this witness cosigned last; *out_size 0: nothing. */
int cosigned_by(
        struct logstore *l, const char *vkey, uint64_t *out_size, uint64_t *out_time_s, struct err *e);

/* The last head as it is published: with its cosignatures so far. malloc'd, with a NUL behind. */
int cosigned_checkpoint(struct logstore *l, char **out, size_t *out_n, struct err *e);
/* The best head for a receipt of entry `seq`: the newest whose quorum was met, else the last. As above. */
int cosigned_covering(
        struct logstore *l, uint64_t seq, uint64_t *out_size, char **out, size_t *out_n, struct err *e);

#endif
