/* SPDX-License-Identifier: Apache-2.0 */
/* hub_client - see hub_client.h. Getting blobs is in hub_get.c. */
#include "io/hub_client.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "io/cert.h"
#include "io/hub_client_int.h"
#include "io/sha256.h"

#define ANSWER_MAX (256u << 10)

int hub_http(
        const struct hub_self *self, uint64_t stall_ns, bool unverified, struct http **out, struct err *e)
{
	struct http_options o = {.timeout_ns = HUB_ASK_NS,
	        .stall_ns = stall_ns,
	        .answer_max = ANSWER_MAX,
	        .ca_file = self->ca,
	        .cert_file = self->cert,
	        .key_file = self->key,
	        .unverified = unverified,
	        .stop_fd = self->stop_fd};

	return http_new(&o, out, e);
}

int hub_http_node(const struct hub_self *self, const char *node, struct http **out, struct err *e)
{
	struct http_options o = {.timeout_ns = HUB_NEAR_NS,
	        .stall_ns = 2 * HUB_NEAR_NS,
	        .answer_max = ANSWER_MAX,
	        .ca_file = self->ca,
	        .cert_file = self->cert,
	        .key_file = self->key,
	        .node = node,
	        .stop_fd = self->stop_fd};

	return http_new(&o, out, e);
}

int hub_url(const char *origin, const char *path, char out[HTTP_URL_MAX], struct err *e)
{
	if (snprintf(out, HTTP_URL_MAX, "%s%s", origin, path) >= (int)HTTP_URL_MAX ||
	        strncmp(out, "https://", 8) != 0)
		return err_set(e, ERR_INVALID, "'%.80s' is not the address of a hub", origin);
	return 0;
}

int hub_blob_url(const char *origin, const uint8_t digest[32], char out[HTTP_URL_MAX], struct err *e)
{
	char path[16 + SHA256_HEX + 1] = "/v1/blobs/";

	sha256_hex(digest, path + strlen(path));
	return hub_url(origin, path, out, e);
}

static enum err_code code_of(unsigned status, const char *name)
{
	for (int c = ERR_INVALID; name && c <= ERR_CLOSED; c++)
		if (strcmp(err_code_name((enum err_code)c), name) == 0)
			return (enum err_code)c;
	return status == 404 ? ERR_NOTFOUND : status / 100 == 4 ? ERR_DENIED : ERR_CLOSED;
}

int hub_client_refused(unsigned status, const char *text, struct err *e)
{
	json_t *j = json_loads(text ? text : "", 0, NULL), *o = json_object_get(j, "error");
	const char *code = json_string_value(json_object_get(o, "code")),
	           *message = json_string_value(json_object_get(o, "message")),
	           *hint = json_string_value(json_object_get(o, "hint"));

	if (message)
		(void)err_set(e, code_of(status, code), "%.220s", message);
	else
		(void)err_set(e, code_of(status, NULL), "the hub answered with status %u", status);
	if (hint && *hint)
		(void)err_hint(e, "%.110s", hint);
	json_decref(j);
	return -1;
}

/* ---- joining ---- */

int hub_client_ca(const char *origin, const uint8_t fingerprint[16], int stop_fd, char **out_pem,
        int64_t *out_ahead_s, struct err *e)
{
	struct hub_self nobody = {.stop_fd = stop_fd};
	struct http_request r = {.method = HTTP_GET};
	struct cert_trust *t = NULL;
	struct http_answer a;
	char url[HTTP_URL_MAX];
	uint8_t digest[32];
	struct http *h;
	int rc = -1;

	if (hub_url(origin, "/v1/hub/ca", url, e) < 0 || hub_http(&nobody, 0, true, &h, e) < 0)
		return -1;
	r.url = url;
	if (http_ask(h, &r, &a, e) < 0)
		goto out;
	if (a.status != 200 || cert_trust_new((const char *)a.body, a.body_n, &t, NULL) < 0) {
		(void)err_set(e, ERR_DENIED, "what answers at %.120s is not a hub", origin);
		(void)err_hint(e, "paste the line that 'osier hub' printed on the hub");
		goto out;
	}
	cert_trust_digest(t, digest);
	if (memcmp(digest, fingerprint, 16) != 0) {
		(void)err_set(e, ERR_DENIED, "the hub at %.120s is not the one that made this token", origin);
		(void)err_hint(e,
		        "another hub answers there, or somebody between you and it; nothing was told to it");
		goto out;
	}
	*out_ahead_s = a.date_s ? (int64_t)a.date_s - (int64_t)time(NULL) : 0;
	*out_pem = cert_trust_pem(t); /* not the body: nobody has vouched for what follows the certificate */
	rc = 0;
out:
	cert_trust_free(t);
	http_free(h);
	return rc;
}

static int post(const char *origin, const char *path, const struct hub_self *self, struct http_request *r,
        uint64_t stall_ns, unsigned *out_status, char **out, struct err *e)
{
	struct http_answer a;
	char url[HTTP_URL_MAX];
	struct http *h;
	int rc;

	r->method = HTTP_POST;
	if (hub_url(origin, path, url, e) < 0 || hub_http(self, stall_ns, false, &h, e) < 0)
		return -1;
	r->url = url;
	rc = http_ask(h, r, &a, e);
	if (rc == 0) {
		*out_status = a.status;
		*out = strndup(a.body_n ? (const char *)a.body : "", a.body_n);
		CHECK(*out);
	}
	http_free(h);
	return rc;
}

int hub_client_post(const char *origin, const char *path, const struct hub_self *self, const char *json,
        unsigned *out_status, char **out, struct err *e)
{
	struct http_request r = {.type = "application/json", .body = json, .body_n = strlen(json)};

	return post(origin, path, self, &r, 0, out_status, out, e);
}

int hub_client_send(const char *origin, const char *path, const struct hub_self *self, const char *file,
        unsigned *out_status, char **out, struct err *e)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = -1;
	struct http_request r = {.type = "application/octet-stream"};
	uint8_t *body = malloc(HUB_SEND_MAX + 1);
	ssize_t n = 1;

	CHECK(body);
	while (fd >= 0 && r.body_n <= HUB_SEND_MAX &&
	        (n = read(fd, body + r.body_n, HUB_SEND_MAX + 1 - r.body_n)) > 0)
		r.body_n += (size_t)n;
	if (fd < 0 || n < 0)
		(void)err_sys(e, "cannot read '%.180s'", file);
	else if (r.body_n > HUB_SEND_MAX)
		(void)err_set(e, ERR_FULL, "'%.150s' has more than %u bytes", file, HUB_SEND_MAX);
	else
		rc = 0;
	if (fd >= 0)
		(void)close(fd);
	r.body = body;
	if (rc == 0)
		rc = post(origin, path, self, &r, HUB_STALL_NS, out_status, out, e);
	free(body);
	return rc;
}

/* ---- putting ---- */

struct putting {
	int fd;
	uint64_t at;
};

static long on_give(void *ctx, uint8_t *out, size_t room)
{
	struct putting *p = ctx;
	ssize_t n = pread(p->fd, out, room, (off_t)p->at);

	if (n > 0)
		p->at += (uint64_t)n;
	return n;
}

void hub_pause(unsigned tries, int stop_fd)
{
	for (unsigned i = 0; i < (1u << (tries < 5 ? tries : 5)) && !http_stopped(stop_fd); i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

/* How much of it is there: bytes of all of it when it is whole. */
static int where(struct http *h, const char *url, uint64_t bytes, uint64_t *out, struct err *e)
{
	struct http_request r = {.method = HTTP_HEAD, .url = url};
	struct http_answer a;

	if (http_ask(h, &r, &a, e) < 0)
		return -1;
	*out = 0;
	if (a.status == 200)
		*out = bytes;
	else if (a.status == 404)
		*out = a.upload_offset == UINT64_MAX || a.upload_offset > bytes ? 0 : a.upload_offset;
	else if (a.status == 401 || a.status == 403)
		return err_set(e, ERR_DENIED, "the hub does not take this node's certificate");
	else
		return err_set(e, ERR_CLOSED, "the hub answered with status %u", a.status);
	return a.status == 200 ? 1 : 0;
}

/* One try: 1: it is there now; 0: try again; < 0. */
static int put_once(struct http *h, const char *url, struct putting *p, uint64_t bytes, struct err *e)
{
	struct http_request r = {.method = HTTP_PUT,
	        .url = url,
	        .type = "application/octet-stream",
	        .give = on_give,
	        .ctx = p};
	char range[100], *text;
	struct http_answer a;
	int rc = where(h, url, bytes, &p->at, e);

	if (rc != 0)
		return rc;
	if (p->at == bytes && bytes) /* all came, and it was not made durable: the last byte again */
		p->at--;
	if (bytes) {
		(void)snprintf(range, sizeof(range), "Content-Range: bytes %llu-%llu/%llu",
		        (unsigned long long)p->at, (unsigned long long)(bytes - 1),
		        (unsigned long long)bytes);
		r.header[0] = range;
	}
	r.put_bytes = bytes - p->at;
	if (http_ask(h, &r, &a, e) < 0)
		return -1;
	if (a.status == 200 || a.status == 201)
		return 1;
	if (a.status == 409 || a.status == 503)
		return 0;
	text = strndup((const char *)a.body, a.body_n);
	CHECK(text);
	(void)hub_client_refused(a.status, text, e);
	if (a.status == 422)
		e->code = ERR_CORRUPT;
	free(text);
	return -1;
}

static bool worth_another(const struct err *e)
{
	return e->code == ERR_CLOSED || e->code == ERR_TIMEOUT;
}

int hub_client_put(const char *origin, const uint8_t digest[32], const char *path,
        const struct hub_self *self, uint64_t *out_moved, struct err *e)
{
	struct putting p = {.fd = -1};
	uint64_t bytes, best = 0;
	char url[HTTP_URL_MAX];
	struct http *h = NULL;
	struct stat st;
	int rc = -1;

	p.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (p.fd < 0 || fstat(p.fd, &st) < 0)
		return err_sys(e, "cannot open '%.180s'", path);
	bytes = (uint64_t)st.st_size;
	if (hub_blob_url(origin, digest, url, e) < 0 || hub_http(self, HUB_STALL_NS, false, &h, e) < 0)
		goto out;
	*out_moved = 0;
	for (unsigned tries = 0; tries < HUB_TRIES_MAX; tries++) {
		uint64_t from;

		rc = where(h, url, bytes, &from, e);
		if (rc == 0) {
			rc = put_once(h, url, &p, bytes, e);
			*out_moved += p.at > from ? p.at - from : 0;
		}
		if (rc > 0 || (rc < 0 && !worth_another(e)) || http_stopped(self->stop_fd))
			break;
		if (p.at > best) { /* it got on: that was no failure */
			best = p.at;
			tries = 0;
		}
		if (rc == 0)
			(void)err_set(e, ERR_CLOSED, "the hub is busy with this blob");
		hub_pause(tries, self->stop_fd);
		rc = -1;
	}
	rc = rc > 0 ? 0 : -1;
out:
	http_free(h);
	(void)close(p.fd);
	return rc;
}
