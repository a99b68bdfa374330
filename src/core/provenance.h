/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provenance - what a receipt says, as other tools read it: an in-toto Statement v1 with a SLSA provenance v1 predicate.
 *
 * Not signed here (dsse.h). Subjects are the task's outputs by name, with their SHA-256; a task that put out nothing has its empty
 * stdout as subject, because a statement without one is none. Of a verified task the attempts that came to the same bytes are
 * byproducts: each output with its digest, and where its result is in the log. What in-toto has no place for (the receipt's place in the
 * log, the outcome) stands in members that begin with "osier_", as SLSA asks of extensions. Pure.
 */
#ifndef OSIER_CORE_PROVENANCE_H
#define OSIER_CORE_PROVENANCE_H

#include "core/receipt.h"

#define STATEMENT_TYPE        "https://in-toto.io/Statement/v1"
#define PROVENANCE_PREDICATE  "https://slsa.dev/provenance/v1"
#define PROVENANCE_BUILD_TYPE "urn:osier:task:v1"

/* Write at most max bytes; returns how many there are. The same receipt gives the same bytes. */
size_t provenance_print(const struct receipt_view *r, char *out, size_t max);

#endif
