/* SPDX-License-Identifier: Apache-2.0 */
/* receipt_wait - `osier receipt --wait LEVEL`: until a head that holds the receipt is on a chain for good, or witnessed. */
#ifndef OSIER_CLI_RECEIPT_WAIT_H
#define OSIER_CLI_RECEIPT_WAIT_H

#include "cli/cli.h"

/* bytes: the receipt as it is now. ERR_NOTFOUND: the node anchors nothing; ERR_TIMEOUT: not within limit_ns, or interrupted. */
int receipt_wait_anchored(struct cli *c, const char *bytes, size_t n, uint64_t limit_ns, struct err *e);
/* Likewise until enough witnesses cosigned such a head. ERR_NOTFOUND: the node asks no witnesses. */
int receipt_wait_witnessed(struct cli *c, const char *bytes, size_t n, uint64_t limit_ns, struct err *e);

#endif
