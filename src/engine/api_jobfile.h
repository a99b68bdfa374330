/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_jobfile - reading jobs out of a request, for what submits and what plans.
 */
#ifndef OSIER_ENGINE_API_JOBFILE_H
#define OSIER_ENGINE_API_JOBFILE_H

#include "engine/api_int.h"
#include "io/jobfile.h"

/* The jobs of the body, in api->mem until the next use of it; blobs that they name are here. < 0: answered. */
int read_jobs(struct request *q, struct jobfile_jobs *jobs);
void answer_problems(struct request *q, const struct jobfile_jobs *jobs);

#endif
