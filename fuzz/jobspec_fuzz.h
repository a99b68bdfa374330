/* SPDX-License-Identifier: Apache-2.0 */
/* jobspec_fuzz - what the fuzzers of job files share: whatever is read must pass the check, show as JSON and expand. */
#ifndef OSIER_FUZZ_JOBSPEC_FUZZ_H
#define OSIER_FUZZ_JOBSPEC_FUZZ_H

#include <string.h>

#include "base/check.h"
#include "core/jobspec.h"
#include "core/params.h"
#include "io/growing.h"
#include "io/spec_json.h"

static int fuzz_digest(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_bytes,
        bool *out_executable, struct err *e)
{
	(void)ctx;
	if (path[0] == '!')
		return err_set(e, ERR_NOTFOUND, "no such file");
	memset(out_sha256, path[0], 32);
	*out_bytes = strlen(path);
	*out_executable = false;
	return 0;
}

static int fuzz_lines(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_lines, struct err *e)
{
	(void)ctx;
	if (path[0] == '!')
		return err_set(e, ERR_NOTFOUND, "no such file");
	memset(out_sha256, path[0], 32);
	*out_lines = strlen(path);
	return 0;
}

static int fuzz_line(
        void *ctx, const uint8_t blob[32], uint64_t index, const char **out, size_t *out_n, struct err *e)
{
	(void)ctx, (void)blob, (void)index, (void)e;
	*out = "line";
	*out_n = 4;
	return 0;
}

static const struct jobspec_files fuzz_files = {NULL, fuzz_digest, fuzz_lines};

/* A template of a specification expands, or is too long: nothing else. */
static void fuzz_expand(const struct params *p, const char *text)
{
	static char out[1 << 16];
	struct err e = {0};
	int64_t n = template_expand(p, text, out, sizeof(out), &e);

	CHECK(n >= 0 ? (size_t)n == strlen(out) : e.code == ERR_FULL);
}

static void fuzz_command(const struct params *p, const Wire__Command *c)
{
	for (size_t i = 0; i < c->n_argv; i++)
		fuzz_expand(p, c->argv[i]);
	fuzz_expand(p, c->shell);
}

static void fuzz_spec(const Wire__JobSpec *spec)
{
	struct err e = {0};

	if (jobspec_check(spec, &e) < 0)
		check_failed(e.msg, "jobspec_check", 0);
	json_decref(jobspec_to_json(spec));
	for (uint32_t i = 0; i < spec->n_steps; i++) {
		const Wire__Step *s = spec->steps[i];
		struct params p = {.spec = spec,
		        .step = i,
		        .job = 1,
		        .attempt = 2,
		        .node = "n",
		        .devices = "0",
		        .line = fuzz_line};

		for (int last = 0; last < 2; last++) {
			p.task = last ? s->tasks - 1 : 0;
			fuzz_command(&p, s->command);
			fuzz_expand(&p, s->stdin_text);
			if (s->worker)
				fuzz_expand(&p, s->worker->args);
			for (size_t k = 0; k < s->n_env; k++)
				fuzz_expand(&p, s->env[k]->value);
			for (size_t k = 0; k < s->n_inputs; k++)
				fuzz_expand(&p, s->inputs[k]->path);
			for (size_t k = 0; k < s->n_outputs; k++)
				fuzz_expand(&p, s->outputs[k]->path);
			for (size_t k = 0; k < s->n_variants; k++)
				if (s->variants[k]->command)
					fuzz_command(&p, s->variants[k]->command);
		}
	}
}

#endif
