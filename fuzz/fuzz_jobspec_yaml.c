/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_jobspec_yaml - hostile text as a job file. */
#include "jobspec_fuzz.h"

#include "io/doc_yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct jobspec_set set[] = {{"parts", "3"}};
	struct jobspec_in in = {.source = "job.yaml", .folder = "/home/me", .files = &fuzz_files, .set = set};
	struct jobspec_problem problems[JOBSPEC_PROBLEMS_MAX];
	struct growing mem;
	const struct doc *root;
	const Wire__JobSpec *spec;
	size_t n_problems;
	char text[1024];

	growing_init(&mem, 1 << 16, 64u << 20);
	in.n_set = n & 1;
	if (doc_yaml_parse(&mem.arena, (const char *)data, n, &root, problems) == 0) {
		if (jobspec_from_doc(&mem.arena, root, &in, &spec, problems, &n_problems) == 0)
			fuzz_spec(spec);
		else
			for (size_t i = 0; i < n_problems; i++)
				(void)jobspec_problem_text(&problems[i], in.source, text, sizeof(text));
	}
	growing_release(&mem);
	return 0;
}
