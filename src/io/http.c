/* SPDX-License-Identifier: Apache-2.0 */
/* http - see http.h. */
#include "io/http.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { HEADERS_MAX = 64 * 1024 };

#undef curl_easy_setopt
#undef curl_easy_getinfo

/* ---- the library ---- */

static struct {
	__typeof__(curl_global_init) *global_init;
	__typeof__(curl_easy_init) *init;
	__typeof__(curl_easy_setopt) *setopt;
	__typeof__(curl_easy_perform) *perform;
	__typeof__(curl_easy_getinfo) *getinfo;
	__typeof__(curl_easy_cleanup) *cleanup;
	__typeof__(curl_easy_reset) *reset;
	__typeof__(curl_slist_append) *append;
	__typeof__(curl_slist_free_all) *free_all;
	bool loaded;
} curl;

/* Once for the process, and for good: libcurl's TLS cannot be unloaded. */
static void load(void)
{
	static const char *const names[] = {"curl_global_init", "curl_easy_init", "curl_easy_setopt",
	        "curl_easy_perform", "curl_easy_getinfo", "curl_easy_cleanup", "curl_easy_reset",
	        "curl_slist_append", "curl_slist_free_all"};
	void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL), *at[ARRAY_LEN(names)];

	if (!lib)
		lib = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		at[i] = dlsym(lib, names[i]);
		if (!at[i])
			return;
	}
	_Static_assert(sizeof(at) == offsetof(__typeof__(curl), loaded), "a name for each function");
	memcpy(&curl, at, sizeof(at)); /* POSIX: what dlsym gives may be called */
	curl.loaded = curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* ---- addresses ---- */

bool http_url_ok(const char *url)
{
	size_t n = strnlen(url, HTTP_URL_MAX + 1);
	const char *host;

	if (n > HTTP_URL_MAX)
		return false;
	if (strncmp(url, "http://", 7) == 0)
		host = url + 7;
	else if (strncmp(url, "https://", 8) == 0)
		host = url + 8;
	else
		return false;
	for (size_t i = 0; i < n; i++)
		if (url[i] <= ' ' || url[i] >= 0x7f)
			return false;
	return *host && *host != '/' && *host != ':' && *host != '?' && *host != '#' && *host != '@';
}

void http_origin(const char *url, char out[HTTP_ORIGIN_MAX])
{
	const char *host, *at;
	size_t n;

	(void)snprintf(out, HTTP_ORIGIN_MAX, "?");
	if (!http_url_ok(url))
		return;
	host = strstr(url, "://") + 3;
	n = strcspn(host, "/?#");
	at = memrchr(host, '@', n); /* name and password go unsaid */
	if (at) {
		n -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	(void)snprintf(out, HTTP_ORIGIN_MAX, "%s%.*s", url[4] == 's' ? "https://" : "http://",
	        n > 255 ? 255 : (int)n, host);
}

/* ---- requests ---- */

struct http {
	CURL *easy;
	struct http_options o;
	char ca_file[512], socket[108];
	uint8_t *body;
	size_t n, room, header_n;
	bool too_much;
};

int http_new(const struct http_options *o, struct http **out, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http *h;

	CHECK(o->timeout_ns >= 1000000 && o->answer_max > 0);
	(void)pthread_once(&once, load);
	if (!curl.loaded) {
		(void)err_set(e, ERR_NOTFOUND,
		        "libcurl is not on this machine; without it nothing can be asked over HTTP");
		return err_hint(e, "install Debian's package libcurl4");
	}
	h = calloc(1, sizeof(*h));
	CHECK(h != NULL);
	h->o = *o;
	if (o->ca_file &&
	        (size_t)snprintf(h->ca_file, sizeof(h->ca_file), "%s", o->ca_file) >= sizeof(h->ca_file)) {
		free(h);
		return err_set(e, ERR_INVALID, "the name of the file of authorities is too long");
	}
	if (o->socket &&
	        (size_t)snprintf(h->socket, sizeof(h->socket), "%s", o->socket) >= sizeof(h->socket)) {
		free(h);
		return err_set(e, ERR_INVALID, "the name of the socket is too long");
	}
	h->easy = curl.init();
	CHECK(h->easy != NULL);
	*out = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	curl.cleanup(h->easy);
	free(h->body);
	free(h);
}

static size_t on_body(char *p, size_t size, size_t count, void *ctx)
{
	struct http *h = ctx;
	size_t n = size * count;

	if (n > h->o.answer_max - h->n) {
		h->too_much = true;
		return 0;
	}
	if (n > h->room - h->n) {
		size_t room = 2 * (h->n + n);
		uint8_t *more = realloc(h->body, room);

		CHECK(more != NULL);
		h->body = more;
		h->room = room;
	}
	memcpy(h->body + h->n, p, n);
	h->n += n;
	return n;
}

static size_t on_header(char *p, size_t size, size_t count, void *ctx)
{
	struct http *h = ctx;

	(void)p;
	h->header_n += size * count;
	if (h->header_n <= HEADERS_MAX)
		return size * count;
	h->too_much = true;
	return 0;
}

bool http_stopped(int stop_fd)
{
	struct pollfd p = {.fd = stop_fd, .events = POLLIN};

	return stop_fd >= 0 && poll(&p, 1, 0) > 0;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct http *h = ctx;

	(void)a, (void)b, (void)c, (void)d;
	return http_stopped(h->o.stop_fd);
}

/* The options that every request has; each is known to this libcurl, or it is a bug. */
static void set(struct http *h, CURLoption option, long v)
{
	CHECK(curl.setopt(h->easy, option, v) == CURLE_OK);
}

static void setp(struct http *h, CURLoption option, const void *v)
{
	CHECK(curl.setopt(h->easy, option, v) == CURLE_OK);
}

static void prepare(struct http *h, const struct http_request *r, const struct curl_slist *headers)
{
	curl.reset(h->easy); /* connections stay */
	h->n = h->header_n = 0;
	h->too_much = false;
	setp(h, CURLOPT_URL, r->url);
	setp(h, CURLOPT_PROTOCOLS_STR, "http,https");
	set(h, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	set(h, CURLOPT_FOLLOWLOCATION, 0);
	set(h, CURLOPT_NOSIGNAL, 1);
	set(h, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	set(h, CURLOPT_TIMEOUT_MS, (long)(h->o.timeout_ns / 1000000));
	set(h, CURLOPT_NOPROGRESS, 0);
	CHECK(curl.setopt(h->easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK);
	setp(h, CURLOPT_XFERINFODATA, h);
	CHECK(curl.setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK);
	setp(h, CURLOPT_WRITEDATA, h);
	CHECK(curl.setopt(h->easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK);
	setp(h, CURLOPT_HEADERDATA, h);
	setp(h, CURLOPT_USERAGENT, "osier/" OSIER_VERSION);
	setp(h, CURLOPT_HTTPHEADER, headers);
	if (h->o.socket)
		setp(h, CURLOPT_UNIX_SOCKET_PATH, h->socket);
	if (h->o.ca_file)
		setp(h, CURLOPT_CAINFO, h->ca_file);
	if (r->method == HTTP_POST) {
		set(h, CURLOPT_POST, 1);
		CHECK(curl.setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_n) == CURLE_OK);
		setp(h, CURLOPT_POSTFIELDS, r->body_n ? r->body : "");
	}
}

static int failed(const struct http *h, const char *url, CURLcode code, struct err *e)
{
	char who[HTTP_ORIGIN_MAX];

	http_origin(url, who);
	if (h->too_much)
		return err_set(e, ERR_FULL, "%s sends more than %zu bytes", who, h->o.answer_max);
	switch ((int)code) { /* not an enum: versions of libcurl differ in what they have */
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, ERR_TIMEOUT, "%s did not answer within %.1f s", who,
		        (double)h->o.timeout_ns / 1e9);
	case CURLE_ABORTED_BY_CALLBACK:
		return err_set(e, ERR_CLOSED, "stopped while waiting for %s", who);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return err_set(e, ERR_CLOSED, "the name of %s is not known", who);
	case CURLE_COULDNT_CONNECT:
		return err_set(e, ERR_CLOSED, "nobody answers at %s", who);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
		return err_set(e, ERR_DENIED, "the certificate of %s is not to be trusted", who);
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(e, ERR_INVALID, "cannot read the file of authorities '%s'",
		        h->o.ca_file ? h->ca_file : "");
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_HTTP2:
	case CURLE_BAD_CONTENT_ENCODING:
		return err_set(e, ERR_CORRUPT, "%s does not speak HTTP", who);
	case CURLE_URL_MALFORMAT:
		return err_set(e, ERR_INVALID, "%s is not an address of HTTP", who);
	default: /* not an enum */
		return err_set(e, ERR_CLOSED, "the connection to %s broke (libcurl says %d)", who, (int)code);
	}
}

static struct curl_slist *header(struct curl_slist *l, const char *name, const char *value)
{
	struct curl_slist *more;
	char line[200];

	CHECK((size_t)snprintf(line, sizeof(line), "%s%s", name, value) < sizeof(line));
	more = curl.append(l, line);
	CHECK(more != NULL);
	return more;
}

int http_ask(struct http *h, const struct http_request *r, struct http_answer *out, struct err *e)
{
	struct curl_slist *headers = NULL;
	long status = 0;
	CURLcode code;

	if (!http_url_ok(r->url)) {
		(void)err_set(e, ERR_INVALID, "not an address of HTTP");
		return err_hint(e, "it must begin with http:// or https:// and name a host");
	}
	headers = header(headers, "Expect:", ""); /* no waiting for leave to send a body */
	if (r->type)
		headers = header(headers, "Content-Type: ", r->type);
	headers = header(headers, "Accept: ", r->accept ? r->accept : "*/*");
	prepare(h, r, headers);
	code = curl.perform(h->easy);
	curl.free_all(headers);
	if (code != CURLE_OK)
		return failed(h, r->url, code, e);
	CHECK(curl.getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK);
	if (status < 100 || status > 999)
		return failed(h, r->url, CURLE_WEIRD_SERVER_REPLY, e);
	*out = (struct http_answer){(unsigned)status, h->body, h->n};
	return 0;
}
