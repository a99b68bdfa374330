/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doc_yaml - YAML text to a struct doc, with where each node stands.
 *
 * A subset on purpose: one document, no aliases (so no bombs), no tags, keys are text and come once. Scalars keep their
 * text: whether `yes` is a word or a truth is for the reader to say. Plain "", "~" and "null" are DOC_NULL.
 */
#ifndef OSIER_IO_DOC_YAML_H
#define OSIER_IO_DOC_YAML_H

#include <stddef.h>

#include "base/arena.h"
#include "core/jobspec.h"

#define DOC_BYTES_MAX (1u << 20)
#define DOC_DEPTH_MAX 64
#define DOC_NODES_MAX 200000

/* Returns 0, or -1 with the one problem that ended it. Nothing in *out points into `text`. */
int doc_yaml_parse(
        struct arena *a, const char *text, size_t n, const struct doc **out, struct jobspec_problem *problem);

/* Is it UTF-8 (RFC 3629: no surrogates, nothing overlong) without NUL? Shared with doc_json. Returns 0, or -1 with the
 * place of the first fault. */
int doc_text_check(const char *text, size_t n, struct jobspec_problem *problem);

/* Note the first key of the map that comes twice; 0 when none does. */
int doc_keys_check(const struct doc *map, struct jobspec_problem *problem);

/* Fill in a problem. Returns -1. */
int doc_fault(struct jobspec_problem *p, size_t line, size_t column, const char *expected,
        const char *found_fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
