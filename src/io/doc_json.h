/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doc_json - JSON to a struct doc. A tree of jansson's has no lines; text that is broken is told with its place.
 */
#ifndef OSIER_IO_DOC_JSON_H
#define OSIER_IO_DOC_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "base/arena.h"
#include "core/jobspec.h"

/* Text to a tree that the caller json_decref()s; NULL with the problem. Duplicate keys, NUL, bad UTF-8 and more than
 * bytes_max bytes are refused. */
json_t *doc_json_load(const char *text, size_t n, size_t bytes_max, struct jobspec_problem *problem);

/* The document of a tree, which it borrows for its life. Limits as in doc_yaml.h. Returns 0, or -1 with the problem. */
int doc_json_from(
        struct arena *a, const json_t *json, const struct doc **out, struct jobspec_problem *problem);

#endif
