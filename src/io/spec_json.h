/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec_json - a job's specification as JSON, as `osier job --json` shows it: the keys of a job file, with every default
 * filled in; amounts are numbers (memory in bytes), time spans seconds, times RFC 3339.
 */
#ifndef OSIER_IO_SPEC_JSON_H
#define OSIER_IO_SPEC_JSON_H

#include <jansson.h>

#include "wire/osier.pb-c.h"

/* New reference. What is not set is left out. */
json_t *jobspec_to_json(const Wire__JobSpec *spec);
json_t *jobspec_step_to_json(const Wire__Step *step);

/* [{"name": ..., "amount": ...}] as {"cpu": 1.5, "memory": 1048576} (new reference). */
json_t *jobspec_needs_to_json(size_t n, Wire__Need *const *needs);

#endif
