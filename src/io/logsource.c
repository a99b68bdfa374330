/* SPDX-License-Identifier: Apache-2.0 */
/* logsource - see logsource.h. */
#include "io/logsource.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "core/note.h"
#include "io/http.h"
#include "io/logdir.h"

struct source {
	char *prefix;             /* of a server; without a final slash */
	struct http *small, *big; /* for all but bundles; for bundles */
	struct logdir *dir;
	uint8_t *buf;
};

static int get_file(
        void *ctx, const char *path, size_t max, const uint8_t **out, size_t *out_n, struct err *e)
{
	struct source *s = ctx;

	if (logdir_read(s->dir, path, s->buf, max, out_n, e) < 0)
		return -1;
	*out = s->buf;
	return 0;
}

static int status_err(unsigned status, const char *url, const char *path, struct err *e)
{
	char who[HTTP_ORIGIN_MAX];

	http_origin(url, who);
	if (status == 404 || status == 410)
		return err_set(e, ERR_NOTFOUND, "%s has no '%.60s'", who, path);
	if (status == 401 || status == 403)
		return err_set(e, ERR_DENIED, "%s does not give '%.60s' to everybody", who, path);
	return err_set(e, ERR_CLOSED, "%s answers %u to '%.60s'", who, status, path);
}

static int get_http(
        void *ctx, const char *path, size_t max, const uint8_t **out, size_t *out_n, struct err *e)
{
	struct source *s = ctx;
	struct http_request r = {.method = HTTP_GET};
	struct http_answer a;
	char url[HTTP_URL_MAX + 1];

	if (snprintf(url, sizeof(url), "%s/%s", s->prefix, path) >= (int)sizeof(url))
		return err_set(e, ERR_INVALID, "the address of the log is too long");
	r.url = url;
	if (http_ask(max > NOTE_BYTES_MAX ? s->big : s->small, &r, &a, e) < 0) {
		if (e->code == ERR_TIMEOUT)
			e->code = ERR_CLOSED; /* it is as if nobody were there */
		return -1;
	}
	if (a.status != 200)
		return status_err(a.status, url, path, e);
	if (a.body_n > max)
		return err_set(
		        e, ERR_FULL, "the log's server sends more than %zu bytes for '%.60s'", max, path);
	*out = a.body;
	*out_n = a.body_n;
	return 0;
}

static int open_http(struct source *s, const char *where, const struct logsource_options *o, struct err *e)
{
	struct http_options h = {.timeout_ns = o->timeout_ns, .ca_file = o->ca_file, .stop_fd = o->stop_fd};
	size_t n = strlen(where);

	if (!http_url_ok(where) || strpbrk(where, "?#"))
		return err_set(
		        e, ERR_INVALID, "'%.100s' is not the address of a log: http://HOST/PREFIX", where);
	while (n && where[n - 1] == '/')
		n--;
	s->prefix = strndup(where, n);
	CHECK(s->prefix);
	h.answer_max = NOTE_BYTES_MAX;
	if (http_new(&h, &s->small, e) < 0)
		return -1;
	h.answer_max = LOG_BUNDLE_MAX;
	return http_new(&h, &s->big, e);
}

int logsource_open(const char *where, const struct logsource_options *o, struct logsource *out, struct err *e)
{
	struct source *s = calloc(1, sizeof(*s));
	bool http = strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0;
	int rc;

	CHECK(s);
	out->ctx = s;
	out->get = http ? get_http : get_file;
	if (http) {
		rc = open_http(s, where, o, e);
	} else {
		if (strncmp(where, "file:", 5) == 0)
			where += strncmp(where, "file://", 7) == 0 ? 7 : 5;
		s->buf = malloc(LOG_BUNDLE_MAX);
		CHECK(s->buf);
		rc = logdir_open(where, LOGDIR_READ, &s->dir, e);
	}
	if (rc < 0)
		logsource_close(out);
	return rc;
}

void logsource_close(struct logsource *s)
{
	struct source *p = s->ctx;

	if (!p)
		return;
	s->ctx = NULL;
	http_free(p->small);
	http_free(p->big);
	logdir_close(p->dir);
	free(p->prefix);
	free(p->buf);
	free(p);
}
