/* SPDX-License-Identifier: Apache-2.0 */
/* http - see http.h. */
#include "io/http.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
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
	__typeof__(curl_getdate) *getdate;
	bool loaded, openssl;
	X509_VERIFY_PARAM *(*verify_param)(void *ssl_ctx);
} curl;

/* Once for the process, and for good: libcurl's TLS cannot be unloaded. */
static void load(void)
{
	static const char *const names[] = {"curl_global_init", "curl_easy_init", "curl_easy_setopt",
	        "curl_easy_perform", "curl_easy_getinfo", "curl_easy_cleanup", "curl_easy_reset",
	        "curl_slist_append", "curl_slist_free_all", "curl_getdate"};
	void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL), *at[ARRAY_LEN(names)];

	curl.openssl = lib != NULL;
	if (!lib)
		lib = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		at[i] = dlsym(lib, names[i]);
		if (!at[i])
			return;
	}
	*(void **)(void *)&curl.verify_param =
	        dlsym(lib, "SSL_CTX_get0_param"); /* of the OpenSSL that it uses */
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
	char ca_file[512], socket[108], cert_file[512], key_file[512], node[64];
	const struct http_request *r; /* under way */
	uint64_t date_s, length, upload_offset;
	bool enough, cannot_give;
	uint8_t *body;
	size_t n, room, header_n;
	bool too_much;
};

static int own_certificate(struct http *h, const struct http_options *o, struct err *e)
{
	if (!o->cert_file && !o->node)
		return 0;
	if (!curl.openssl || !curl.verify_param) {
		(void)err_set(e, ERR_NOTFOUND, "the libcurl of this machine is not the one with OpenSSL");
		return err_hint(e, "install Debian's package libcurl4");
	}
	if (o->node && (size_t)snprintf(h->node, sizeof(h->node), "%s", o->node) >= sizeof(h->node))
		return err_set(e, ERR_INVALID, "no node has such a name");
	if (!o->cert_file)
		return 0;
	if ((size_t)snprintf(h->cert_file, sizeof(h->cert_file), "%s", o->cert_file) >=
	                sizeof(h->cert_file) ||
	        (size_t)snprintf(h->key_file, sizeof(h->key_file), "%s", o->key_file) >= sizeof(h->key_file))
		return err_set(e, ERR_INVALID, "the name of the certificate's file is too long");
	return 0;
}

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
	if (own_certificate(h, o, e) < 0) {
		free(h);
		return -1;
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
	long status = 0;

	if (h->r->piece && curl.getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
	        status / 100 == 2) {
		h->enough = h->r->piece(h->r->ctx, (unsigned)status, (const uint8_t *)p, n) < 0;
		return h->enough ? 0 : n;
	}
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

static bool named(const char *p, size_t n, const char *name, char value[64])
{
	size_t k = strlen(name), len;

	if (n < k || strncasecmp(p, name, k) != 0)
		return false;
	for (p += k, n -= k; n && (*p == ' ' || *p == '\t'); p++)
		n--;
	len = n < 63 ? n : 63;
	memcpy(value, p, len);
	value[len] = '\0';
	value[strcspn(value, "\r\n")] = '\0';
	return true;
}

static uint64_t whole(const char *text)
{
	uint64_t v = 0;

	if (!*text)
		return UINT64_MAX;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || v > UINT64_MAX / 16)
			return UINT64_MAX;
		v = v * 10 + (uint64_t)(*text - '0');
	}
	return v;
}

static void read_header(struct http *h, const char *p, size_t n)
{
	char value[64];
	time_t date;

	if (named(p, n, "content-length:", value))
		h->length = whole(value);
	else if (named(p, n, "upload-offset:", value))
		h->upload_offset = whole(value);
	else if (named(p, n, "date:", value)) {
		date = curl.getdate(value, NULL);
		h->date_s = date > 0 ? (uint64_t)date : 0;
	}
}

static size_t on_give(char *p, size_t size, size_t count, void *ctx)
{
	struct http *h = ctx;
	long n = h->r->give(h->r->ctx, (uint8_t *)p, size * count);

	h->cannot_give = n < 0;
	return n < 0 ? CURL_READFUNC_ABORT : (size_t)n;
}

static size_t on_header(char *p, size_t size, size_t count, void *ctx)
{
	struct http *h = ctx;

	read_header(h, p, size * count);
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

/* Nodes are known by their names, and their certificates are those of clients. */
static CURLcode demand_node(CURL *easy, void *ssl_ctx, void *ctx)
{
	const struct http *h = ctx;
	X509_VERIFY_PARAM *p = curl.verify_param(ssl_ctx);

	(void)easy;
	X509_VERIFY_PARAM_set_hostflags(
	        p, X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS);
	return X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_CLIENT) == 1 &&
	                       X509_VERIFY_PARAM_set1_host(p, h->node, 0) == 1
	               ? CURLE_OK
	               : CURLE_SSL_CERTPROBLEM;
}

static void prepare_more(struct http *h, const struct http_request *r)
{
	if (h->o.stall_ns) {
		set(h, CURLOPT_LOW_SPEED_LIMIT, 1);
		set(h, CURLOPT_LOW_SPEED_TIME, (long)((h->o.stall_ns + 999999999u) / 1000000000u));
	}
	if (h->o.unverified) {
		set(h, CURLOPT_SSL_VERIFYPEER, 0);
		set(h, CURLOPT_SSL_VERIFYHOST, 0);
	}
	if (h->o.node) {
		set(h, CURLOPT_SSL_VERIFYHOST, 0); /* demand_node() does */
		CHECK(curl.setopt(h->easy, CURLOPT_SSL_CTX_FUNCTION, demand_node) == CURLE_OK);
		setp(h, CURLOPT_SSL_CTX_DATA, h);
	}
	if (h->o.cert_file) {
		setp(h, CURLOPT_SSLCERT, h->cert_file);
		setp(h, CURLOPT_SSLKEY, h->key_file);
	}
	if (r->method == HTTP_HEAD)
		set(h, CURLOPT_NOBODY, 1);
	if (r->method == HTTP_PUT) {
		set(h, CURLOPT_UPLOAD, 1);
		CHECK(curl.setopt(h->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->put_bytes) == CURLE_OK);
		CHECK(curl.setopt(h->easy, CURLOPT_READFUNCTION, on_give) == CURLE_OK);
		setp(h, CURLOPT_READDATA, h);
		set(h, CURLOPT_UPLOAD_BUFFERSIZE, 256 * 1024);
	}
}

static void prepare(struct http *h, const struct http_request *r, const struct curl_slist *headers)
{
	curl.reset(h->easy); /* connections stay */
	h->n = h->header_n = 0;
	h->too_much = h->enough = h->cannot_give = false;
	h->date_s = 0;
	h->length = h->upload_offset = UINT64_MAX;
	h->r = r;
	setp(h, CURLOPT_URL, r->url);
	setp(h, CURLOPT_PROTOCOLS_STR, "http,https");
	set(h, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	set(h, CURLOPT_FOLLOWLOCATION, 0);
	set(h, CURLOPT_NOSIGNAL, 1);
	set(h, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	set(h, h->o.stall_ns ? CURLOPT_CONNECTTIMEOUT_MS : CURLOPT_TIMEOUT_MS,
	        (long)(h->o.timeout_ns / 1000000));
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
	prepare_more(h, r);
	if (r->method == HTTP_POST) {
		set(h, CURLOPT_POST, 1);
		CHECK(curl.setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_n) == CURLE_OK);
		setp(h, CURLOPT_POSTFIELDS, r->body_n ? r->body : "");
	}
}

/* By OpenSSL's X509_V_ERR_ numbers; another TLS says 0. */
static int untrusted(const struct http *h, const char *who, struct err *e)
{
	long why = 0;

	(void)curl.getinfo(h->easy, CURLINFO_SSL_VERIFYRESULT, &why);
	if (why == 9 || why == 10) {
		(void)err_set(e, ERR_DENIED, "the certificate of %s is %s", who,
		        why == 9 ? "not valid yet" : "not valid any more");
		return err_hint(e, "is the clock of this machine right?");
	}
	return err_set(e, ERR_DENIED, "the certificate of %s is not to be trusted", who);
}

static int failed(const struct http *h, const char *url, CURLcode code, struct err *e)
{
	char who[HTTP_ORIGIN_MAX];

	http_origin(url, who);
	if (h->enough)
		return err_set(e, ERR_CLOSED, "what %s sends is not wanted any more", who);
	if (h->cannot_give)
		return err_set(e, ERR_SYSTEM, "what is sent to %s cannot be read", who);
	if (h->too_much)
		return err_set(e, ERR_FULL, "%s sends more than %zu bytes", who, h->o.answer_max);
	switch ((int)code) { /* not an enum: versions of libcurl differ in what they have */
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, ERR_TIMEOUT, "%s did not answer within %.1f s", who,
		        (double)(h->o.stall_ns ? h->o.stall_ns : h->o.timeout_ns) / 1e9);
	case CURLE_ABORTED_BY_CALLBACK:
		return err_set(e, ERR_CLOSED, "stopped while waiting for %s", who);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return err_set(e, ERR_CLOSED, "the name of %s is not known", who);
	case CURLE_COULDNT_CONNECT:
		return err_set(e, ERR_CLOSED, "nobody answers at %s", who);
	case CURLE_SSL_CERTPROBLEM:
		return err_set(e, ERR_DENIED, "the certificate to show to %s cannot be used", who);
	case CURLE_PEER_FAILED_VERIFICATION:
		return untrusted(h, who, e);
	case CURLE_SSL_CONNECT_ERROR: /* who ends while it greets us, too: only a certificate that was seen can be refused */
		return err_set(e, ERR_CLOSED, "%s broke off while TLS began", who);
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

/* From when its address was known until TCP was connected. */
static uint64_t rtt_us(const struct http *h)
{
	curl_off_t known = 0, connected = 0;
	long fresh = 0;

	if (curl.getinfo(h->easy, CURLINFO_NUM_CONNECTS, &fresh) != CURLE_OK || fresh != 1 ||
	        curl.getinfo(h->easy, CURLINFO_NAMELOOKUP_TIME_T, &known) != CURLE_OK ||
	        curl.getinfo(h->easy, CURLINFO_CONNECT_TIME_T, &connected) != CURLE_OK || connected <= known)
		return 0;
	return (uint64_t)(connected - known);
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
	for (unsigned i = 0; i < HTTP_HEADERS_MAX && r->header[i]; i++)
		headers = header(headers, r->header[i], "");
	prepare(h, r, headers);
	code = curl.perform(h->easy);
	curl.free_all(headers);
	if (code != CURLE_OK)
		return failed(h, r->url, code, e);
	CHECK(curl.getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK);
	if (status < 100 || status > 999)
		return failed(h, r->url, CURLE_WEIRD_SERVER_REPLY, e);
	*out = (struct http_answer){.status = (unsigned)status,
	        .body = h->body,
	        .body_n = h->n,
	        .date_s = h->date_s,
	        .length = h->length,
	        .upload_offset = h->upload_offset,
	        .rtt_us = rtt_us(h)};
	return 0;
}
