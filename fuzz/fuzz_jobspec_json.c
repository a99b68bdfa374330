/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_jobspec_json - hostile text as the body of POST /v1/jobs. */
#include "jobspec_fuzz.h"

#include "io/doc_json.h"
#include "io/jobfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct jobfile_jobs jobs;
	struct growing mem;
	json_t *body = doc_json_load((const char *)data, n, 1 << 20, jobs.problems);

	if (!body)
		return 0;
	growing_init(&mem, 1 << 16, 64u << 20);
	if (jobfile_from_request(&mem.arena, body, &jobs) == 0) {
		for (size_t i = 0; i < jobs.n; i++)
			fuzz_spec(jobs.specs[i]);
	} else {
		CHECK(jobs.n_problems >= 1 && jobs.n_problems <= JOBSPEC_PROBLEMS_MAX);
		json_decref(jobfile_problems_json(jobs.problems, jobs.n_problems, jobs.source));
	}
	json_decref(body);
	growing_release(&mem);
	return 0;
}
