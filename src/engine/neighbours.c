/* SPDX-License-Identifier: Apache-2.0 */
/* neighbours - see neighbours.h. All but opening and closing is in the server's thread; the blob store may be asked from any. */
#include "engine/neighbours.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/check.h"
#include "core/ticket.h"
#include "engine/hub_int.h"
#include "engine/hub_parse.h"
#include "io/cert.h"
#include "io/clock.h"
#include "io/sha256.h"

#define IDLE_S     60
#define MOVES_S    60u            /* of what comes something was written within this time */
#define BEGINS_NS  10000000000ull /* until the first byte of what was asked for */
#define POOL_BYTES (32u << 10)
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct neighbours {
	struct MHD_Daemon *daemon;
	struct cert_trust *trust;
	struct blobs *blobs;
	char hub[CERT_NAME_MAX + 1];
	char *ca, *cert, *key;
	unsigned port;
	pthread_mutex_t lock; /* of what is expected */
	struct {
		uint8_t digest[32];
		uint64_t since_ns;
	} expected[NEIGHBOURS_EXPECTED];
	unsigned n_expected; /* how many there ever were */
	uint64_t n_waited;
	char parts[4000];
};

/* ---- answers ---- */

static enum MHD_Result answer_error(struct MHD_Connection *conn, const struct err *e)
{
	char *json = hub_error_text(err_code_name(e->code), e->msg, e->hint);
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(json), json, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result done;

	CHECK(r);
	MHD_add_response_header(r, "Content-Type", "application/json");
	done = MHD_queue_response(conn, hub_status(e->code), r);
	MHD_destroy_response(r);
	return done;
}

/* fd is taken. */
static enum MHD_Result answer_blob(
        struct MHD_Connection *conn, int fd, uint64_t size, uint64_t first, uint64_t count, bool part)
{
	struct MHD_Response *r = count ? MHD_create_response_from_fd_at_offset64(count, fd, first)
	                               : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result done;
	char range[80];

	CHECK(r);
	if (!count)
		(void)close(fd);
	(void)snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)first,
	        (unsigned long long)(first + count - 1), (unsigned long long)size);
	MHD_add_response_header(r, "Accept-Ranges", "bytes");
	MHD_add_response_header(r, "Content-Type", "application/octet-stream");
	if (part)
		MHD_add_response_header(r, "Content-Range", range);
	done = MHD_queue_response(conn, part ? 206 : 200, r);
	MHD_destroy_response(r);
	return done;
}

/* ---- who may have what ---- */

static int peer_of(const struct neighbours *s, struct MHD_Connection *conn, struct cert *out, struct err *e)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	const gnutls_datum_t *certs;
	unsigned n = 0;

	certs = i && i->tls_session ? gnutls_certificate_get_peers(i->tls_session, &n) : NULL;
	if (!certs || n == 0)
		return err_set(e, ERR_DENIED,
		        "this is for nodes of the hub '%s', which show their certificates", s->hub);
	return cert_trust_check(s->trust, certs[0].data, certs[0].size, clock_wall_ns(), out, e);
}

static int may_have(
        const struct neighbours *s, struct MHD_Connection *conn, const uint8_t digest[32], struct err *e)
{
	const char *text = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Osier-Ticket");
	uint8_t bytes[TICKET_BYTES_MAX];
	struct ticket t;
	struct cert peer;
	size_t n_signed;
	long n;

	if (peer_of(s, conn, &peer, e) < 0)
		return -1;
	if (!text)
		return err_set(e, ERR_DENIED, "the hub's word for it is missing: 'Osier-Ticket'");
	n = base64_read(text, strlen(text), bytes, sizeof(bytes));
	if (n < 0 || ticket_read(bytes, (size_t)n, &t, &n_signed, e) < 0 ||
	        !cert_trust_signed(s->trust, bytes, n_signed, bytes + n_signed))
		return err_set(e, ERR_DENIED, "the ticket is not one of the hub '%s'", s->hub);
	return ticket_allows(&t, s->hub, peer.name, digest, clock_wall_ns() / 1000000000u, e);
}

void neighbours_expect(struct neighbours *s, const uint8_t digest[32])
{
	if (!s)
		return;
	CHECK(pthread_mutex_lock(&s->lock) == 0);
	memcpy(s->expected[s->n_expected % NEIGHBOURS_EXPECTED].digest, digest, 32);
	s->expected[s->n_expected++ % NEIGHBOURS_EXPECTED].since_ns = clock_mono_ns();
	CHECK(pthread_mutex_unlock(&s->lock) == 0);
}

/* Is something of it still being written? Or was it asked for just now? */
static bool is_coming(struct neighbours *s, const uint8_t digest[32])
{
	char hex[SHA256_HEX + 1], path[4200];
	uint64_t now = clock_mono_ns();
	struct stat st;
	bool yes = false;

	sha256_hex(digest, hex);
	(void)snprintf(path, sizeof(path), "%s/%s", s->parts, hex);
	yes = stat(path, &st) == 0 && time(NULL) - st.st_mtime < (time_t)MOVES_S;
	CHECK(pthread_mutex_lock(&s->lock) == 0);
	for (unsigned i = 0; i < NEIGHBOURS_EXPECTED && i < s->n_expected && !yes; i++)
		yes = memcmp(s->expected[i].digest, digest, 32) == 0 &&
		      now - s->expected[i].since_ns < BEGINS_NS;
	s->n_waited += yes;
	CHECK(pthread_mutex_unlock(&s->lock) == 0);
	return yes;
}

static const char path_of_blobs[] = "/v1/blobs/";

static int find(struct neighbours *s, struct MHD_Connection *conn, const char *url, const char *method,
        int *out_fd, uint64_t *out_size, struct err *e)
{
	uint8_t digest[32];

	if ((strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) ||
	        strncmp(url, path_of_blobs, sizeof(path_of_blobs) - 1) != 0 ||
	        sha256_unhex(url + sizeof(path_of_blobs) - 1, digest) < 0)
		return err_set(e, ERR_INVALID, "here are blobs, got by their SHA-256, and nothing else");
	if (may_have(s, conn, digest, e) < 0)
		return -1;
	if (blobs_open_read(s->blobs, digest, out_fd, out_size, e) < 0)
		return e->code == ERR_NOTFOUND && is_coming(s, digest)
		               ? err_set(e, ERR_CLOSED, "the blob is on its way to here: ask again")
		               : -1;
	blobs_touch(s->blobs, digest);
	return 0;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
        const char *version, const char *upload, size_t *upload_n, void **con_cls)
{
	static char seen;
	uint64_t size = 0, first = 0, count;
	enum hub_range kind;
	struct err e = {0};
	int fd = -1;

	(void)version;
	(void)upload;
	if (*upload_n)
		return MHD_NO; /* nothing is taken here */
	if (!*con_cls) {
		*con_cls = &seen;
		return MHD_YES;
	}
	if (find(cls, conn, url, method, &fd, &size, &e) < 0)
		return answer_error(conn, &e);
	count = size;
	kind = hub_range(strcmp(method, "GET") == 0
	                         ? MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Range")
	                         : NULL,
	        size, &first, &count);
	if (kind != RANGE_BAD)
		return answer_blob(conn, fd, size, first, count, kind == RANGE_PART);
	(void)close(fd);
	(void)err_set(&e, ERR_INVALID, "the blob is not that long");
	return answer_error(conn, &e);
}

/* ---- opening ---- */

static int listen_on(unsigned port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, zero = 0;
	bool six = fd >= 0;

	if (!six)
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	else
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, six ? sizeof(v6) : sizeof(v4)) ==
	                0 &&
	        listen(fd, 128) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage sa = {0};
	socklen_t n = sizeof(sa);

	(void)getsockname(fd, (struct sockaddr *)&sa, &n);
	return ntohs(sa.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)&sa)->sin6_port
	                                      : ((const struct sockaddr_in *)(const void *)&sa)->sin_port);
}

static size_t keep_escapes(void *cls, struct MHD_Connection *conn, char *s)
{
	(void)cls;
	(void)conn;
	return strlen(s);
}

static int read_in(const char *dir, const char *name, char **out, size_t *n, struct err *e)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%.4000s/%s", dir, name);
	return cert_file_read(path, out, n, e);
}

static int start(struct neighbours *s, unsigned port, struct err *e)
{
	int fd = listen_on(port ? port : NEIGHBOURS_PORT);

	if (fd < 0 && !port)
		fd = listen_on(0);
	if (fd < 0) {
		(void)err_sys(e, "cannot listen for neighbours at port %u", port);
		return err_hint(e, "'neighbours' of 'link' in config.yaml says the port, or 'no'");
	}
	s->port = port_of(fd);
	/* Not epoll: as in hub_listener.c. */
	s->daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_TLS, 0, NULL, NULL,
	        on_request, s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_HTTPS_MEM_CERT, s->cert,
	        MHD_OPTION_HTTPS_MEM_KEY, s->key, MHD_OPTION_HTTPS_MEM_TRUST, s->ca,
	        MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES, MHD_OPTION_CONNECTION_LIMIT, NEIGHBOURS_CONNECTIONS,
	        MHD_OPTION_PER_IP_CONNECTION_LIMIT, NEIGHBOURS_CONNECTIONS / 16,
	        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
	        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
	        MHD_OPTION_END);
	if (s->daemon)
		return 0;
	(void)close(fd);
	return err_set(e, ERR_SYSTEM, "cannot start the server for neighbours");
}

int neighbours_open(const char *dir, const char *hub, unsigned port, struct blobs *blobs, const char *parts,
        struct neighbours **out, struct err *e)
{
	struct neighbours *s = calloc(1, sizeof(*s));
	size_t n, ca_n;

	CHECK(s && strlen(hub) < sizeof(s->hub) && pthread_mutex_init(&s->lock, NULL) == 0);
	s->blobs = blobs;
	CHECK(snprintf(s->parts, sizeof(s->parts), "%s", parts) < (int)sizeof(s->parts));
	memcpy(s->hub, hub, strlen(hub));
	if (read_in(dir, "ca.crt", &s->ca, &ca_n, e) < 0 || read_in(dir, "client.crt", &s->cert, &n, e) < 0 ||
	        read_in(dir, "client.key", &s->key, &n, e) < 0 ||
	        cert_trust_new(s->ca, ca_n, &s->trust, e) < 0 || start(s, port, e) < 0) {
		neighbours_close(s);
		return -1;
	}
	*out = s;
	return 0;
}

uint64_t neighbours_waited(struct neighbours *s)
{
	uint64_t n;

	CHECK(pthread_mutex_lock(&s->lock) == 0);
	n = s->n_waited;
	CHECK(pthread_mutex_unlock(&s->lock) == 0);
	return n;
}

unsigned neighbours_port(const struct neighbours *s)
{
	return s->port;
}

void neighbours_close(struct neighbours *s)
{
	if (!s)
		return;
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	(void)pthread_mutex_destroy(&s->lock);
	cert_trust_free(s->trust);
	free(s->ca);
	free(s->cert);
	free(s->key);
	free(s);
}
