/* SPDX-License-Identifier: Apache-2.0 */
/* jobfile_request - see jobfile.h: the server's end. No file is touched here: what the client said of its
 * files is looked up. */
#include <string.h>

#include "base/check.h"
#include "io/doc_json.h"
#include "io/doc_yaml.h"
#include "io/jobfile.h"
#include "io/sha256.h"

#define SOURCE_BYTES_MAX 4096
#define SET_MAX          64

/* What belongs to a job, of the request or of one of its jobs. */
struct around {
	const char *source, *folder;
	json_t *files, *parameters;
};

/* ---- files: as the client described them ---- */

static int file_look(void *ctx, const char *path, uint8_t out_sha256[32], const json_t **out, struct err *e)
{
	const json_t *files = ctx, *x = json_object_get(files, path), *hex = json_object_get(x, "sha256");

	if (!x)
		return err_set(e, ERR_NOTFOUND, "the request says nothing of it under 'files'");
	if (!json_is_string(hex) || sha256_unhex(json_string_value(hex), out_sha256) < 0)
		return err_set(e, ERR_INVALID, "its 'sha256' in the request is not 64 hexadecimal digits");
	*out = x;
	return 0;
}

static int count_of(const json_t *x, const char *key, uint64_t *out, struct err *e)
{
	const json_t *v = json_object_get(x, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return err_set(e, ERR_INVALID, "its '%s' in the request is not a number", key);
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

static int digest_cb(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_bytes,
        bool *out_executable, struct err *e)
{
	const json_t *x;

	if (file_look(ctx, path, out_sha256, &x, e) < 0 || count_of(x, "size", out_bytes, e) < 0)
		return -1;
	*out_executable = json_is_true(json_object_get(x, "executable"));
	return 0;
}

static int lines_cb(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_lines, struct err *e)
{
	const json_t *x;

	if (file_look(ctx, path, out_sha256, &x, e) < 0)
		return -1;
	return count_of(x, "lines", out_lines, e);
}

/* ---- one job ---- */

static int fault(struct jobfile_jobs *out, const char *path, const char *found, const char *expected)
{
	(void)doc_fault(&out->problems[0], 0, 0, expected, "%s", found);
	(void)snprintf(out->problems[0].path, sizeof(out->problems[0].path), "%s", path);
	out->n_problems = 1;
	return -1;
}

/* Take what `body` says over what was said around it. */
static int read_around(const json_t *body, struct around *ar, struct jobfile_jobs *out)
{
	const json_t *source = json_object_get(body, "source"), *folder = json_object_get(body, "workdir");
	json_t *files = json_object_get(body, "files"), *parameters = json_object_get(body, "parameters");
	const char *key;
	json_t *value;

	if (source && (!json_is_string(source) || json_string_length(source) > SOURCE_BYTES_MAX))
		return fault(out, "source", "no text, or too long a text", "a file name");
	if (folder && (!json_is_string(folder) || json_string_value(folder)[0] != '/' ||
	                      json_string_length(folder) > SOURCE_BYTES_MAX))
		return fault(out, "workdir", "no absolute path", "an absolute folder");
	if (files && !json_is_object(files))
		return fault(out, "files", "no object", "{\"path\": {\"sha256\", \"size\"}}");
	if (parameters && (!json_is_object(parameters) || json_object_size(parameters) > SET_MAX))
		return fault(out, "parameters", "no object, or too many", "{\"name\": \"value\"}");
	json_object_foreach(parameters, key, value) if (!json_is_string(value)) return fault(
	        out, "parameters", "a value that is not text", "{\"name\": \"value\"}");
	ar->source = source ? json_string_value(source) : ar->source;
	ar->folder = folder ? json_string_value(folder) : ar->folder;
	ar->files = files ? files : ar->files;
	ar->parameters = parameters ? parameters : ar->parameters;
	return 0;
}

static int read_doc(struct arena *a, const json_t *job, const json_t *yaml, const struct doc **out,
        struct jobfile_jobs *jobs)
{
	int rc;

	if (job)
		rc = doc_json_from(a, job, out, &jobs->problems[0]);
	else if (json_is_string(yaml))
		rc = doc_yaml_parse(
		        a, json_string_value(yaml), json_string_length(yaml), out, &jobs->problems[0]);
	else
		return fault(jobs, "yaml", "no text", "the text of a job file");
	if (rc < 0)
		jobs->n_problems = 1;
	return rc;
}

/* Keys beside 'job' and 'yaml' that are not known would be lost in silence. */
static int check_wrapper(const json_t *body, const char *const *known, size_t n, struct jobfile_jobs *out)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)body, key, value)
	{
		size_t i = 0;

		(void)value;
		while (i < n && strcmp(known[i], key) != 0)
			i++;
		if (i == n)
			return fault(out, key, "an unknown key beside the job",
			        "one of job, yaml, jobs, source, workdir, files, parameters");
	}
	return 0;
}

static const char *const wrapper_keys[] = {"source", "workdir", "files", "parameters", "job", "yaml"};
static const char *const batch_keys[] = {"source", "workdir", "files", "parameters", "jobs"};

static int read_one(
        struct arena *a, const json_t *body, struct around ar, struct jobfile_jobs *out, size_t number)
{
	const json_t *job = json_object_get(body, "job"), *yaml = json_object_get(body, "yaml");
	const struct jobspec_files files = {ar.files, digest_cb, lines_cb};
	struct jobspec_set set[SET_MAX];
	struct jobspec_in in = {.set = set};
	const struct doc *root;
	const char *key;
	json_t *value;

	out->at_fault = number;
	if (job || yaml) {
		if (job && yaml)
			return fault(out, "", "both 'job' and 'yaml'", "one of them");
		if (check_wrapper(body, wrapper_keys, ARRAY_LEN(wrapper_keys), out) < 0 ||
		        read_around(body, &ar, out) < 0)
			return -1;
	} else {
		job = body; /* bare */
	}
	out->source = in.source = ar.source;
	in.folder = ar.folder;
	in.files = ar.files ? &(struct jobspec_files){ar.files, files.digest, files.lines} : NULL;
	json_object_foreach(ar.parameters, key, value) set[in.n_set++] =
	        (struct jobspec_set){key, json_string_value(value)};
	if (read_doc(a, job, yaml, &root, out) < 0)
		return -1;
	return jobspec_from_doc(a, root, &in, &out->specs[number], out->problems, &out->n_problems);
}

int jobfile_from_request(struct arena *a, const json_t *body, struct jobfile_jobs *out)
{
	const json_t *jobs = json_object_get(body, "jobs");
	struct around ar = {0};

	out->n_problems = 0;
	out->at_fault = 0;
	out->source = NULL;
	out->many = jobs != NULL;
	out->n = jobs ? json_array_size(jobs) : 1;
	if (!json_is_object(body))
		return fault(out, "", "no object",
		        "a job: {\"command\": ...}, {\"yaml\": ...} or {\"jobs\": [...]}");
	if (jobs && (out->n == 0 || out->n > JOBFILE_JOBS_MAX))
		return fault(
		        out, "jobs", "no list, an empty one or too long a one", "a list of 1 to 10000 jobs");
	if (jobs && (check_wrapper(body, batch_keys, ARRAY_LEN(batch_keys), out) < 0 ||
	                    read_around(body, &ar, out) < 0))
		return -1;
	out->specs = arena_calloc(a, out->n, sizeof(*out->specs));
	if (!out->specs)
		return fault(out, "", "more than fits in memory", "a smaller request");
	for (size_t i = 0; i < out->n; i++)
		if (read_one(a, jobs ? json_array_get(jobs, i) : body, ar, out, i) < 0)
			return -1;
	return 0;
}

json_t *jobfile_problems_json(const struct jobspec_problem *p, size_t n, const char *source)
{
	json_t *all = json_array();
	char text[1024];

	for (size_t i = 0; i < n; i++) {
		json_t *one = json_object();

		(void)jobspec_problem_text(&p[i], source, text, sizeof(text));
		if (p[i].line) {
			json_object_set_new(one, "line", json_integer(p[i].line));
			json_object_set_new(one, "column", json_integer(p[i].column));
		}
		json_object_set_new(one, "path", json_string(p[i].path));
		json_object_set_new(one, "found", json_string(p[i].found));
		json_object_set_new(one, "expected", json_string(p[i].expected));
		json_object_set_new(one, "message", json_string(text));
		json_array_append_new(all, one);
	}
	return all;
}

static int blob_of(const Wire__Input *in, int (*fn)(void *ctx, const uint8_t sha256[32]), void *ctx)
{
	return in && in->blob.len == 32 ? fn(ctx, in->blob.data) : 0;
}

int jobfile_each_blob(const Wire__JobSpec *spec, int (*fn)(void *ctx, const uint8_t sha256[32]), void *ctx)
{
	int rc = 0;

	for (size_t i = 0; i < spec->n_steps && rc == 0; i++) {
		const Wire__Step *s = spec->steps[i];

		rc = blob_of(s->stdin_file, fn, ctx);
		for (size_t k = 0; k < s->n_inputs && rc == 0; k++)
			rc = blob_of(s->inputs[k], fn, ctx);
		for (size_t k = 0; k < s->n_params && rc == 0; k++)
			if (s->params[k]->kind == WIRE__PARAM__KIND__LINES && s->params[k]->blob.len == 32)
				rc = fn(ctx, s->params[k]->blob.data);
	}
	return rc;
}
