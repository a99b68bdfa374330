/* SPDX-License-Identifier: Apache-2.0 */
/* verify - what `osier verify` is made of: receipts (cmd_verify.c) and envelopes (verify_dsse.c). */
#ifndef OSIER_CLI_VERIFY_H
#define OSIER_CLI_VERIFY_H

#include "cli/cli.h"
#include "core/keyset.h"

/* All of a file that is not larger than max; malloc'd, NULL with *e. */
char *verify_file(const char *path, size_t max, size_t *out_n, struct err *e);
/* The SHA-256 of a file of any size, and how many bytes it has. */
int verify_file_digest(const char *path, uint8_t out[32], uint64_t *out_n, struct err *e);

/* What `osier ledger keys --json` told, folded; free() it. In the file that --keys names: NULL with *e. */
struct keyset *keys_fold(const json_t *keys);
struct keyset *verify_keys(const char *path, struct err *e);

/* Is this the beginning of an envelope (JSON), and not of a receipt? */
bool verify_is_envelope(const char *bytes, size_t n);
/* Check an envelope against --key, or the keys of the node here, and tell what it says. */
int verify_envelope(struct cli *c, const char *bytes, size_t n, struct err *e);

#endif
