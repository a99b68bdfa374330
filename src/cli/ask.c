/* SPDX-License-Identifier: Apache-2.0 */
/* ask - requests and answers as JSON: see cli.h. */
#include <stdarg.h>

#include "base/check.h"
#include "cli/cli.h"

enum err_code ask_code(const char *name)
{
	static const struct {
		const char *name;
		enum err_code code;
	} known[] = {
	        {"invalid", ERR_INVALID},
	        {"not_found", ERR_NOTFOUND},
	        {"exists", ERR_EXISTS},
	        {"denied", ERR_DENIED},
	        {"full", ERR_FULL},
	        {"corrupt", ERR_CORRUPT},
	        {"version", ERR_VERSION},
	        {"system", ERR_SYSTEM},
	        {"timeout", ERR_TIMEOUT},
	        {"closed", ERR_CLOSED},
	        {"refused", ERR_EXISTS},
	        {"busy", ERR_FULL},
	        {"ambiguous", ERR_INVALID},
	        {"method", ERR_INVALID},
	        {"too_large", ERR_INVALID},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].code;
	return ERR_SYSTEM;
}

static void candidates_hint(const json_t *candidates, struct err *e)
{
	struct text t = {0};
	size_t i;
	json_t *v;

	json_array_foreach(candidates, i, v)
	{
		if (t.n > 80) {
			text_add(&t, ", ...");
			break;
		}
		text_addf(&t, "%s%s", i ? ", " : "", json_string_value(v) ? json_string_value(v) : "?");
	}
	(void)err_hint(e, "it could be %s", text_str(&t));
	text_release(&t);
}

static void problems_print(const json_t *problems, struct err *e)
{
	size_t i;
	json_t *p;

	json_array_foreach(problems, i, p)
	{
		const char *path = j_str(p, "path");

		if (j_uint(p, "line"))
			term_note("%llu:%llu: %s%sfound %s, expected %s",
			        (unsigned long long)j_uint(p, "line"),
			        (unsigned long long)j_uint(p, "column"), path, *path ? ": " : "",
			        j_str(p, "found"), j_str(p, "expected"));
		else
			term_note("%s%sfound %s, expected %s", path, *path ? ": " : "", j_str(p, "found"),
			        j_str(p, "expected"));
	}
	(void)e;
}

static int error_of(const json_t *error, struct err *e)
{
	(void)err_set(e, ask_code(j_str(error, "code")), "%s", j_str(error, "message"));
	if (*j_str(error, "hint"))
		(void)err_hint(e, "%s", j_str(error, "hint"));
	if (json_array_size(json_object_get(error, "candidates")))
		candidates_hint(json_object_get(error, "candidates"), e);
	if (json_array_size(json_object_get(error, "problems")))
		problems_print(json_object_get(error, "problems"), e);
	return -1;
}

int ask_error(const struct response *r, struct err *e)
{
	json_t *root = json_loadb(text_str(&r->body), r->body.n, 0, NULL),
	       *error = json_object_get(root, "error");

	if (json_is_object(error))
		(void)error_of(error, e);
	else
		(void)err_set(e,
		        r->status == 404   ? ERR_NOTFOUND
		        : r->status == 413 ? ERR_INVALID
		                           : ERR_SYSTEM,
		        "the node answered %d", r->status);
	json_decref(root);
	return -1;
}

int ask_error_event(const char *data, struct err *e)
{
	json_t *root = ask_event(data, e);

	if (root)
		(void)error_of(json_object_get(root, "error"), e);
	json_decref(root);
	return -1;
}

json_t *ask_answer(const struct response *r, struct err *e)
{
	json_error_t why;
	json_t *out;

	if (r->status < 200 || r->status > 299) {
		(void)ask_error(r, e);
		return NULL;
	}
	out = json_loadb(text_str(&r->body), r->body.n, JSON_DECODE_ANY, &why);
	if (!out)
		(void)err_set(e, ERR_CORRUPT, "the node's answer is not JSON: %.100s", why.text);
	return out;
}

json_t *ask(struct cli *c, const char *method, const char *target, const json_t *body, struct err *e)
{
	char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	struct response r;
	json_t *out;
	int rc;

	CHECK(c->client && (!body || text));
	rc = client_call(c->client, method, target, text ? "application/json" : NULL, text,
	        text ? strlen(text) : 0, &r, e);
	free(text);
	if (rc < 0)
		return NULL;
	out = ask_answer(&r, e);
	response_release(&r);
	return out;
}

json_t *ask_get(struct cli *c, struct err *e, const char *fmt, ...)
{
	char target[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(target, sizeof(target), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(target)) {
		(void)err_set(e, ERR_INVALID, "the name is too long");
		return NULL;
	}
	return ask(c, "GET", target, NULL, e);
}

json_t *ask_event(const char *data, struct err *e)
{
	json_error_t why;
	json_t *out = json_loads(data, JSON_DECODE_ANY, &why);

	if (!out)
		(void)err_set(e, ERR_CORRUPT, "the node sent an event that is not JSON: %.100s", why.text);
	return out;
}

void job_target(struct text *t, const char *job)
{
	text_add(t, "/v1/jobs/");
	url_add(t, job);
}

int task_resolve(struct cli *c, const char *name, struct task_name *out, struct err *e)
{
	struct text t = {0};
	json_t *j;

	text_add(&t, "/v1/resolve?name=");
	url_add(&t, name);
	j = ask(c, "GET", text_str(&t), NULL, e);
	text_release(&t);
	if (!j)
		return -1;
	out->job = cli_dup(j_str(j, "id"));
	out->step = j_null(j, "step") ? NULL : cli_dup(j_str(j, "step"));
	out->index = j_null(j, "index") ? -1 : (int64_t)j_uint(j, "index");
	json_decref(j);
	return 0;
}

void task_name_release(struct task_name *t)
{
	free(t->job);
	free(t->step);
	memset(t, 0, sizeof(*t));
}
