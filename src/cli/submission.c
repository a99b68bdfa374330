/* SPDX-License-Identifier: Apache-2.0 */
/* submission - see submission.h. Reading and checking job files is io/jobfile's. */
#include "cli/submission.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/jobfile.h"

struct submission {
	struct jobfile file;
	struct jobspec_set *set;
	size_t n_set;
	char *names; /* what set's names point into */
	char key[40];
};

/* -p NAME=VALUE */
static int read_params(struct submission *s, const struct args *a, struct err *e)
{
	size_t n = 0, bytes = 1;

	while (args_nth(a, "set", n))
		bytes += strlen(args_nth(a, "set", n++)) + 1;
	s->set = cli_alloc(n * sizeof(*s->set));
	s->names = cli_alloc(bytes);
	bytes = 0;
	for (size_t i = 0; i < n; i++) {
		const char *word = args_nth(a, "set", i), *equals = strchr(word, '=');
		size_t len = equals ? (size_t)(equals - word) : 0;

		if (!len) {
			(void)err_set(e, ERR_INVALID, "'%.100s' is not a parameter", word);
			return err_hint(e, "write it like -p digits=1000");
		}
		memcpy(s->names + bytes, word, len);
		s->set[s->n_set].name = s->names + bytes;
		s->set[s->n_set++].value = equals + 1;
		bytes += len + 1;
	}
	return 0;
}

static int tell_problems(struct cli *c, const struct submission *s, const char *path)
{
	if (c->json) {
		json_t *j = json_pack("{s:s,s:b,s:o}", "file", path, "valid", 0, "problems",
		        jobfile_problems_json(s->file.problems, s->file.n_problems, path));

		json_print_line(j);
		json_decref(j);
	} else {
		jobfile_print(&s->file, stderr, *term_colour(stderr, RED) != '\0');
	}
	return EXIT_USAGE;
}

int submission_load(struct cli *c, const char *path, struct submission **out)
{
	struct submission *s = cli_alloc(sizeof(*s));
	struct err e = {0};
	int rc = 0;

	jobfile_init(&s->file);
	if (read_params(s, &c->args, &e) < 0)
		rc = cli_fail(c, &e);
	else if (jobfile_read(&s->file, path, s->set, s->n_set, &e) < 0)
		rc = s->file.n_problems ? tell_problems(c, s, path) : cli_fail(c, &e);
	if (rc) {
		submission_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void submission_free(struct submission *s)
{
	if (!s)
		return;
	jobfile_release(&s->file);
	free(s->set);
	free(s->names);
	free(s);
}

json_t *submission_summary(const struct submission *s)
{
	const Wire__JobSpec *spec = s->file.spec;
	json_int_t tasks = 0;

	for (size_t i = 0; i < spec->n_steps; i++)
		tasks += (json_int_t)spec->steps[i]->tasks;
	return json_pack("{s:s,s:b,s:s,s:I,s:I,s:I}", "file", s->file.path, "valid", 1, "name", spec->name,
	        "steps", (json_int_t)spec->n_steps, "tasks", tasks, "files", (json_int_t)s->file.n_files);
}

bool submission_limits_memory(const struct submission *s)
{
	const Wire__JobSpec *spec = s->file.spec;

	for (size_t i = 0; i < spec->n_steps; i++)
		for (size_t v = 0; v < spec->steps[i]->n_variants; v++)
			for (size_t n = 0; n < spec->steps[i]->variants[v]->n_needs; n++)
				if (strcmp(spec->steps[i]->variants[v]->needs[n]->name, "memory") == 0)
					return true;
	return false;
}

/* ---- files ---- */

static void hex(const uint8_t sha[32], char out[65])
{
	for (int i = 0; i < 32; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", sha[i]);
}

static int put_file(struct cli *c, const struct jobfile_file *f, const char *digest, struct err *e)
{
	struct response r;
	char target[96];
	struct stat st;
	int fd = open(f->full, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc;

	if (fd < 0)
		return err_sys(e, "cannot read '%.160s'", f->full);
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != f->size_bytes) {
		(void)close(fd);
		return err_set(e, ERR_INVALID, "'%.160s' changed while it was read", f->full);
	}
	(void)snprintf(target, sizeof(target), "/v1/blobs/%s", digest);
	rc = client_put_file(c->client, target, fd, f->size_bytes, &r, e);
	(void)close(fd);
	if (rc == 0 && r.status != 200 && r.status != 201)
		rc = ask_error(&r, e);
	response_release(&r);
	if (rc < 0)
		return err_wrap(e, "storing '%.80s'", f->path);
	return 0;
}

/* Store those of the job's files that the node does not have. */
static int put_files(struct cli *c, const struct submission *s, struct err *e)
{
	json_t *body, *list, *answer, *v;
	size_t i;
	char digest[65];
	int rc = 0;

	if (s->file.n_files == 0)
		return 0;
	list = json_array();
	for (i = 0; i < s->file.n_files; i++) {
		hex(s->file.files[i].sha256, digest);
		json_array_append_new(list, json_string(digest));
	}
	body = json_pack("{s:o}", "sha256", list);
	answer = ask(c, "POST", "/v1/blobs/missing", body, e);
	json_decref(body);
	if (!answer)
		return -1;
	json_array_foreach(json_object_get(answer, "missing"), i, v)
	{
		for (size_t k = 0; rc == 0 && k < s->file.n_files; k++) {
			hex(s->file.files[k].sha256, digest);
			if (json_string_value(v) && strcmp(digest, json_string_value(v)) == 0) {
				rc = put_file(c, &s->file.files[k], digest, e);
				break;
			}
		}
	}
	json_decref(answer);
	return rc;
}

/* ---- requests ---- */

/* A key of our own, so that a submit whose answer was lost can be repeated without making a second job. */
static void make_key(struct submission *s)
{
	uint8_t r[16] = {0};
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		CHECK(read(fd, r, sizeof(r)) == (ssize_t)sizeof(r));
		(void)close(fd);
	}
	(void)snprintf(s->key, sizeof(s->key), "cli-");
	for (size_t i = 0; i < sizeof(r); i++)
		(void)snprintf(s->key + 4 + 2 * i, 3, "%02x", r[i]);
}

json_t *submission_send(struct cli *c, struct submission *s, struct err *e)
{
	const char *key = args_value(&c->args, "key");
	struct text t = {0};
	json_t *body, *out;

	if (put_files(c, s, e) < 0)
		return NULL;
	if (!s->key[0])
		make_key(s);
	text_add(&t, "/v1/jobs?key=");
	url_add(&t, key ? key : s->key);
	body = jobfile_request(&s->file);
	out = ask(c, "POST", text_str(&t), body, e);
	json_decref(body);
	text_release(&t);
	return out;
}

json_t *submission_plan(struct cli *c, struct submission *s, struct err *e)
{
	json_t *body, *out;

	if (put_files(c, s, e) < 0)
		return NULL;
	body = jobfile_request(&s->file);
	out = ask(c, "POST", "/v1/plan", body, e);
	json_decref(body);
	return out;
}
