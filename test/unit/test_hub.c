/* SPDX-License-Identifier: Apache-2.0 */
/* test_hub - facts about the hub's HTTPS and those who ask it: who is let in, what is asked, blobs from several hubs of which some lie. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/check.h"
#include "engine/hub_int.h"
#include "engine/hub_listener.h"
#include "engine/hub_parse.h"
#include "io/blobs.h"
#include "io/ca.h"
#include "io/clock.h"
#include "io/ed25519.h"
#include "io/hub_client_int.h"
#include "io/join.h"
#include "io/sha256.h"
#include "dir_help.h"

/* ---- hubs: one authority, several listeners, each with blobs of its own ---- */

#define HUBS        3u
#define STORE_BYTES (100ull << 20)
static struct ca *ca;
static uint8_t fingerprint[32];
static struct {
	struct hub_listener *l;
	struct blobs *blobs;
	char origin[JOIN_URL_MAX], store[128];
} hub[HUBS];
static uv_loop_t loop;
static pthread_t looper;
static uv_async_t stop;
static unsigned status_to_give = 201;
static struct hub_asked last;

static void on_ask(void *ctx, struct hub_asked *a)
{
	(void)ctx;
	last = *a;
	hub_listener_answer(a, status_to_give,
	        status_to_give == 201 ? "{\"yes\":true}"
	                              : "{\"error\":{\"code\":\"denied\",\"message\":\"no\"}}",
	        false);
}

static void on_stop(uv_async_t *h)
{
	for (unsigned i = 0; i < HUBS; i++)
		hub_listener_stop(hub[i].l);
	uv_stop(h->loop);
}

static void *run_loop(void *ctx)
{
	(void)ctx;
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	return NULL;
}

static int open_all(void **state)
{
	static const char *const names[] = {"localhost", "127.0.0.1"};
	const struct blobs_limits limits = {.bytes_max = STORE_BYTES};
	struct err e;
	bool changed;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-hub-XXXXXX");
	if (!mkdtemp(dir) || ca_open(in("hub"), "plant", clock_wall_ns(), &ca, &e) < 0 ||
	        ca_server(ca, names, 2, clock_wall_ns(), &changed, &e) < 0 || uv_loop_init(&loop) < 0 ||
	        uv_async_init(&loop, &stop, on_stop) < 0)
		return -1;
	ca_fingerprint(ca, fingerprint);
	for (unsigned i = 0; i < HUBS; i++) {
		char incoming[160];
		struct hub_listener_options o = {.listen = "127.0.0.1",
		        .dir = in("hub"),
		        .incoming = incoming,
		        .loop = &loop,
		        .ask = on_ask};

		(void)snprintf(hub[i].store, sizeof(hub[i].store), "%s/%u", dir, i);
		(void)snprintf(incoming, sizeof(incoming), "%s/incoming", hub[i].store);
		if (mkdir(hub[i].store, 0700) < 0 || blobs_open(hub[i].store, &limits, &hub[i].blobs, &e) < 0)
			return -1;
		o.blobs = hub[i].blobs;
		if (hub_listener_open(&o, &hub[i].l, &e) < 0) {
			print_message("%s\n", e.msg);
			return -1;
		}
		join_origin("127.0.0.1", hub_listener_port(hub[i].l), hub[i].origin);
	}
	return pthread_create(&looper, NULL, run_loop, NULL);
}

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static int close_all(void **state)
{
	char cmd[128];

	(void)state;
	(void)uv_async_send(&stop);
	(void)pthread_join(looper, NULL);
	uv_walk(&loop, close_handle, NULL);
	while (uv_run(&loop, UV_RUN_DEFAULT) != 0)
		;
	for (unsigned i = 0; i < HUBS; i++) {
		hub_listener_close(hub[i].l);
		blobs_close(hub[i].blobs);
	}
	ca_close(ca);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return uv_loop_close(&loop) < 0 ? -1 : system(cmd);
}

/* ---- nodes ---- */

static void write_file(const char *path, const void *p, size_t n)
{
	struct err e;

	assert_int_equal(cert_file_write(path, p, n, 0600, &e), 0);
}

/* Files NAME.crt and NAME.key, signed by `by`. */
static struct cert node_files(struct ca *by, const char *name, uint64_t at_ns, uint64_t life_s)
{
	struct cert_request *r;
	struct cert c;
	struct err e;
	char key[32], crt[32], *pem;

	(void)snprintf(key, sizeof(key), "%s.key", name);
	(void)snprintf(crt, sizeof(crt), "%s.crt", name);
	assert_int_equal(cert_key_make(in(key), &e), 0);
	assert_int_equal(cert_request_make(in(key), name, &pem, &e), 0);
	assert_int_equal(cert_request_read(pem, strlen(pem), &r, &e), 0);
	free(pem);
	assert_int_equal(ca_issue(by, r, name, at_ns, life_s, &pem, &c, &e), 0);
	write_file(in(crt), pem, strlen(pem));
	free(pem);
	cert_request_free(r);
	return c;
}

static struct hub_self self_of(const char *name)
{
	static char crt[2][160], key[2][160], root[160];
	static unsigned at;

	at = (at + 1) % 2;
	(void)snprintf(crt[at], sizeof(crt[at]), "%s/%s.crt", dir, name);
	(void)snprintf(key[at], sizeof(key[at]), "%s/%s.key", dir, name);
	(void)snprintf(root, sizeof(root), "%s/hub/ca.crt", dir);
	return (struct hub_self){
	        .ca = root, .cert = name ? crt[at] : NULL, .key = name ? key[at] : NULL, .stop_fd = -1};
}

static struct hub_self nobody(void)
{
	struct hub_self s = self_of("x");

	s.cert = s.key = NULL;
	return s;
}

/* The body of a join as a node makes it; what: 't' leaves the token out, 's' breaks the signature. */
static char *body(const char *name, char what)
{
	static const uint8_t seed[32] = {7};
	uint8_t pub[32], journal[32] = {1}, digest[32], sig[64];
	char *csr, *text, statement[JOIN_STATEMENT_MAX], k64[BASE64_CHARS(32) + 1], s64[BASE64_CHARS(64) + 1],
	        escaped[2048];
	struct cert_request *r;
	struct err e;
	size_t n, at = 0;

	assert_int_equal(cert_key_make(in("join.key"), &e), 0);
	assert_int_equal(cert_request_make(in("join.key"), "x", &csr, &e), 0);
	assert_int_equal(cert_request_read(csr, strlen(csr), &r, &e), 0);
	cert_request_digest(r, digest);
	cert_request_free(r);
	n = join_statement(
	        what == 't' ? JOIN_RENEW : JOIN_JOIN, fingerprint, name, journal, digest, statement);
	ed25519_public(seed, pub);
	ed25519_sign(seed, statement, n, sig);
	sig[5] ^= what == 's';
	(void)base64_write(pub, 32, k64);
	(void)base64_write(sig, 64, s64);
	for (char *c = csr; *c; c++) {
		if (*c == '\n')
			escaped[at++] = '\\';
		escaped[at++] = *c == '\n' ? 'n' : *c;
	}
	escaped[at] = '\0';
	free(csr);
	text = malloc(4096);
	assert_non_null(text);
	(void)snprintf(text, 4096,
	        "{\"version\":1,%s\"name\":\"%s\",\"csr\":\"%s\",\"key\":\"%s\",\"signature\":\"%s\","
	        "\"journal\":\"01%062d\"}",
	        what == 't' ? "" : "\"token\":\"00112233445566778899aabbccddeeff\",", name, escaped, k64, s64,
	        0);
	return text;
}

static unsigned post(const char *path, const struct hub_self *self, char *text)
{
	char *answer = NULL;
	unsigned status = 0;
	struct err e = {0};

	if (hub_client_post(hub[0].origin, path, self, text, &status, &answer, &e) < 0)
		fail_msg("%s", e.msg);
	free(answer);
	free(text);
	return status;
}

static void a_hub_is_known_by_its_fingerprint(void **state)
{
	uint8_t other[16];
	int64_t ahead = 99;
	struct err e = {0};
	char *pem = NULL;

	(void)state;
	assert_int_equal(hub_client_ca(hub[0].origin, fingerprint, -1, &pem, &ahead, &e), 0);
	assert_in_range(ahead + 2, 0, 4);
	free(pem);
	memcpy(other, fingerprint, 16);
	other[15] ^= 1;
	assert_int_equal(hub_client_ca(hub[0].origin, other, -1, &pem, &ahead, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_int_equal(hub_client_ca("https://127.0.0.1:1", other, -1, &pem, &ahead, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
}

/* Who stands between may give the right certificate, which anybody can ask for, and his own behind it. */
static void of_what_a_hub_shows_only_its_certificate_is_kept(void **state)
{
	char incoming[160], *right, *evil, *both, *pem = NULL, origin[JOIN_URL_MAX];
	struct hub_listener_options o = {
	        .listen = "127.0.0.1", .dir = in("hub"), .incoming = incoming, .blobs = hub[0].blobs};
	struct hub_listener *l;
	size_t right_n, evil_n;
	int64_t ahead;
	struct ca *his;
	uv_loop_t own;
	struct err e;

	(void)state;
	(void)snprintf(incoming, sizeof(incoming), "%s/between", dir);
	assert_int_equal(ca_open(in("his"), "plant", clock_wall_ns(), &his, &e), 0);
	assert_int_equal(cert_file_read(in("hub/ca.crt"), &right, &right_n, &e), 0);
	evil = (char *)(uintptr_t)ca_pem(his, &evil_n);
	both = malloc(right_n + evil_n);
	assert_non_null(both);
	memcpy(both, right, right_n);
	memcpy(both + right_n, evil, evil_n);
	write_file(in("hub/ca.crt"), both, right_n + evil_n);
	assert_int_equal(uv_loop_init(&own), 0);
	o.loop = &own;
	assert_int_equal(hub_listener_open(&o, &l, &e), 0);
	write_file(in("hub/ca.crt"), right, right_n);
	join_origin("127.0.0.1", hub_listener_port(l), origin);
	assert_int_equal(hub_client_ca(origin, fingerprint, -1, &pem, &ahead, &e), 0);
	assert_string_equal(pem, right);
	hub_listener_stop(l);
	uv_walk(&own, close_handle, NULL);
	(void)uv_run(&own, UV_RUN_DEFAULT);
	hub_listener_close(l);
	assert_int_equal(uv_loop_close(&own), 0);
	ca_close(his);
	free(right);
	free(both);
	free(pem);
}

static void what_is_asked_is_checked_before_the_loop_hears_of_it(void **state)
{
	struct hub_self self = nobody();
	uint8_t token[32];
	uint8_t secret[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc,
	        0xdd, 0xee, 0xff};

	(void)state;
	assert_int_equal(post("/v1/hub/join", &self, body("press-4", 0)), 201);
	join_token_hash(secret, token);
	assert_memory_equal(last.token_hash, token, 32);
	assert_string_equal(last.name, "press-4");
	assert_int_equal(last.journal[0], 1);
	memset(&last, 0, sizeof(last));
	assert_int_equal(post("/v1/hub/join", &self, body("press-4", 's')), 403);
	assert_int_equal(post("/v1/hub/join", &self, body("hub", 0)), 400);
	assert_int_equal(post("/v1/hub/join", &self, body("Press", 0)), 400);
	assert_int_equal(post("/v1/hub/join", &self, body("press-4", 't')), 400);
	assert_int_equal(post("/v1/hub/join", &self, strdup("[]")), 400);
	assert_int_equal(post("/v1/hub/join", &self, strdup("{\"version\":2}")), 400);
	assert_int_equal(post("/v1/hub/renew", &self, body("press-4", 's')), 403);
	assert_int_equal(post("/v1/hub/renew", &self, body("press-4", 0)), 403); /* what was signed to join */
	assert_string_equal(last.name, "");
	/* Who renews shows no certificate: it may have expired. Whose name it is, the loop knows by the key. */
	assert_int_equal(post("/v1/hub/renew", &self, body("press-4", 't')), 201);
	assert_string_equal(last.name, "press-4");
}

static void too_large_a_body_is_refused(void **state)
{
	struct hub_self self = nobody();
	char *big = malloc(2 * HUB_BODY_MAX);

	(void)state;
	assert_non_null(big);
	memset(big, ' ', 2 * HUB_BODY_MAX);
	big[2 * HUB_BODY_MAX - 1] = '\0';
	assert_int_equal(post("/v1/hub/join", &self, big), 413);
}

static void wrong_tokens_are_answered_at_a_pace(void **state)
{
	static struct hub_pace p;
	uint8_t a[16] = {10, 0, 0, 1}, b[16] = {10, 0, 0, 2};
	uint64_t s = 1000000000u, now = 5 * s;

	(void)state;
	for (unsigned i = 0; i < 2 * HUB_TRIES; i++) {
		assert_true(hub_pace_may(&p, a, now));
		hub_pace_spend(&p, a, now);
	}
	assert_false(hub_pace_may(&p, a, now));
	assert_true(hub_pace_may(&p, b, now)); /* another's tries are its own */
	assert_false(hub_pace_may(&p, a, now + s / HUB_TRIES - 1000000));
	assert_true(hub_pace_may(&p, a, now + s / HUB_TRIES));
	hub_pace_spend(&p, a, now + s / HUB_TRIES);
	for (unsigned i = 1; i < 1000; i++) /* asking often earns no less */
		(void)hub_pace_may(&p, a, now + s / HUB_TRIES + i * 100000);
	assert_false(hub_pace_may(&p, a, now + s / HUB_TRIES + s / 10));
	assert_true(hub_pace_may(&p, a, now + 2 * s / HUB_TRIES));
	now += 3600 * s;
	for (unsigned i = 0; i < 2 * HUB_TRIES; i++)
		hub_pace_spend(&p, a, now);
	assert_false(hub_pace_may(&p, a, now)); /* no more than at first */
	for (unsigned i = 0; i < HUB_ADDRESSES; i++) {
		uint8_t many[16] = {11, (uint8_t)i};

		assert_true(hub_pace_may(&p, many, now + 1 + i));
	}
	assert_true(hub_pace_may(&p, a, now + s / 1000)); /* forgotten for them */
}

static void certificates_that_do_not_count_let_nobody_in(void **state)
{
	uint64_t now = clock_wall_ns();
	struct cert c = node_files(ca, "press-4", now, 3600);
	struct hub_self self = self_of("press-4");
	struct ca *other;
	struct err e;

	(void)state;
	assert_int_equal(post("/v1/hub/renew", &self, body("press-4", 't')), 201);
	assert_int_equal(last.what, JOIN_RENEW);
	assert_int_equal(post("/v1/hub/renew", &self, body("press-5", 't')), 403); /* another's */
	hub_listener_revoked(hub[0].l, (const uint8_t(*)[CERT_SERIAL]) & c.serial, 1);
	assert_int_equal(post("/v1/hub/renew", &self, body("press-4", 't')), 403);
	hub_listener_revoked(hub[0].l, NULL, 0);
	assert_int_equal(post("/v1/hub/renew", &self, body("press-4", 't')), 201);
	(void)node_files(ca, "old", now - 7200 * 1000000000ull, 3600);
	self = self_of("old");
	assert_int_equal(post("/v1/hub/renew", &self, body("old", 't')), 403);
	assert_int_equal(ca_open(in("other"), "plant", now, &other, &e), 0);
	(void)node_files(other, "foreign", now, 3600);
	ca_close(other);
	self = self_of("foreign");
	assert_int_equal(post("/v1/hub/renew", &self, body("foreign", 't')), 403);
}

/* What a node makes of the answer to "who am I?". */
static enum err_code told(const char *name, unsigned *out_status)
{
	struct hub_self self = self_of(name);
	char *text;
	struct err e = {0};

	assert_int_equal(hub_client_post(hub[0].origin, "/v1/hub/me", &self, "{}", out_status, &text, &e), 0);
	if (*out_status != 200)
		(void)hub_client_refused(*out_status, text, &e);
	free(text);
	return e.code;
}

static void only_who_was_removed_is_told_so(void **state)
{
	uint64_t now = clock_wall_ns();
	struct cert c = node_files(ca, "press-4", now, 3600);
	unsigned status;
	struct err e;

	(void)state;
	assert_int_equal(told("press-4", &status), ERR_NONE);
	assert_int_equal(status, 200);
	hub_listener_revoked(hub[0].l, (const uint8_t(*)[CERT_SERIAL]) & c.serial, 1);
	assert_int_equal(told("press-4", &status), ERR_REMOVED);
	assert_int_equal(status, 403);
	hub_listener_revoked(hub[0].l, NULL, 0);
	assert_int_equal(told("press-4", &status), ERR_NONE);
	(void)node_files(ca, "old", now - 7200 * 1000000000ull, 3600);
	assert_int_equal(told("old", &status), ERR_DENIED);
	assert_int_equal(status, 403);
	/* Others that may stand in between. */
	(void)hub_client_refused(403, "<html>no</html>", &e);
	assert_int_equal(e.code, ERR_DENIED);
	(void)hub_client_refused(503, "{\"error\":{\"code\":\"closed\",\"message\":\"stopping\"}}", &e);
	assert_int_equal(e.code, ERR_CLOSED);
}

static void a_node_is_no_hub(void **state)
{
	struct hub_self self = self_of("press-4");
	char *answer = NULL;
	unsigned status;
	struct err e = {0};
	struct stat st;

	(void)state;
	/* Its server certificate is exchanged for a node's: the other end must notice, whatever the name. */
	(void)node_files(ca, "press-4", clock_wall_ns(), 3600);
	assert_int_equal(rename(in("hub/server.crt"), in("server.crt")), 0);
	assert_int_equal(rename(in("hub/server.key"), in("server.key")), 0);
	assert_int_equal(link(in("press-4.crt"), in("hub/server.crt")), 0);
	assert_int_equal(link(in("press-4.key"), in("hub/server.key")), 0);
	assert_int_equal(hub_listener_reload(hub[2].l, &e), 0);
	assert_int_equal(
	        hub_client_post(hub[2].origin, "/v1/hub/join", &self, "{}", &status, &answer, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_int_equal(rename(in("server.crt"), in("hub/server.crt")), 0);
	assert_int_equal(rename(in("server.key"), in("hub/server.key")), 0);
	assert_int_equal(hub_listener_reload(hub[2].l, &e), 0);
	assert_int_equal(
	        hub_client_post(hub[2].origin, "/v1/hub/join", &self, "{}", &status, &answer, &e), 0);
	assert_int_equal(status, 400);
	free(answer);
	assert_int_equal(stat(in("hub/server.crt"), &st), 0);
}

/* ---- blobs ---- */

#define BLOB_BYTES (5u * HUB_PIECE + 12345u)
static uint8_t *blob, blob_digest[32];

static void make_blob(void)
{
	if (blob)
		return;
	blob = malloc(BLOB_BYTES);
	assert_non_null(blob);
	for (size_t i = 0; i < BLOB_BYTES; i++)
		blob[i] = (uint8_t)((i * 2654435761u) >> 13);
	sha256_of(blob, BLOB_BYTES, blob_digest);
}

static void give_to(unsigned i)
{
	uint8_t d[32];
	struct err e;

	make_blob();
	assert_int_equal(blobs_put(hub[i].blobs, blob, BLOB_BYTES, d, &e), 0);
}

static void flip(unsigned i, off_t at)
{
	char path[4096];
	uint8_t b = 0;
	int fd;

	assert_true(blobs_path(hub[i].blobs, blob_digest, path, sizeof(path)));
	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && pread(fd, &b, 1, at) == 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, at), 1);
	(void)close(fd);
}

static void drop_from(unsigned i)
{
	struct err e;

	(void)blobs_remove(hub[i].blobs, blob_digest, &e);
}

static int get(unsigned n, uint64_t *moved, struct err *e)
{
	struct hub_get g = {.n_origins = n, .bytes = UINT64_MAX, .path = in("got")};
	struct hub_self self;

	(void)node_files(ca, "press-4", clock_wall_ns(), 3600);
	self = self_of("press-4");
	for (unsigned i = 0; i < n; i++)
		g.origin[i] = hub[i].origin;
	memcpy(g.digest, blob_digest, 32);
	return hub_client_get(&g, &self, moved, NULL, e);
}

static bool file_is_blob(const char *path)
{
	struct stat st;
	uint8_t *p = malloc(BLOB_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool same;

	assert_non_null(p);
	same = fd >= 0 && fstat(fd, &st) == 0 && st.st_size == (off_t)BLOB_BYTES &&
	       read(fd, p, BLOB_BYTES) == (ssize_t)BLOB_BYTES && memcmp(p, blob, BLOB_BYTES) == 0;
	(void)close(fd);
	free(p);
	return same;
}

static void a_blob_comes_from_several_hubs_and_no_byte_twice(void **state)
{
	uint64_t moved;
	struct err e = {0};

	(void)state;
	give_to(0);
	give_to(1); /* the third has none */
	if (get(3, &moved, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(moved, BLOB_BYTES);
	assert_true(file_is_blob(in("got")));
	assert_int_equal(access(in("got.map"), F_OK), -1);
	assert_int_equal(unlink(in("got")), 0);
}

static void what_came_before_is_not_asked_for_again(void **state)
{
	uint8_t map[8] = {0, 0, 64, 0, 0x10}; /* all of the first piece, 16 bytes of the second */
	uint64_t moved;
	struct err e = {0};
	int fd;

	(void)state;
	give_to(0);
	fd = open(in("got"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, blob, HUB_PIECE + 16), HUB_PIECE + 16);
	assert_int_equal(ftruncate(fd, BLOB_BYTES), 0);
	(void)close(fd);
	write_file(in("got.map"), map, sizeof(map));
	if (get(1, &moved, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(moved, BLOB_BYTES - HUB_PIECE - 16);
	assert_true(file_is_blob(in("got")));
	assert_int_equal(unlink(in("got")), 0);
}

static void of_several_hubs_one_may_lie(void **state)
{
	uint64_t moved;
	struct err e = {0};

	(void)state;
	give_to(0);
	give_to(1);
	flip(0, 100); /* each piece of one of them; who gives which is not known */
	for (unsigned i = 1; i < 6; i++)
		flip(0, (off_t)i * HUB_PIECE + 7);
	if (get(2, &moved, &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(file_is_blob(in("got")));
	assert_int_equal(unlink(in("got")), 0);
	drop_from(1);
	assert_int_equal(get(2, &moved, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(access(in("got"), F_OK), -1); /* and nothing is left of it */
	assert_int_equal(access(in("got.map"), F_OK), -1);
	drop_from(0);
	assert_int_equal(get(2, &moved, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
}

static void hub_that_may_answer_yet_is_asked_again(void **state)
{
	struct hub_get g = {.n_origins = 2, .bytes = UINT64_MAX, .path = in("got")};
	struct hub_self self;
	struct err e;
	uint64_t moved;

	(void)state;
	(void)node_files(ca, "press-4", clock_wall_ns(), 3600);
	self = self_of("press-4");
	memcpy(g.digest, blob_digest, 32);
	for (unsigned dead = 0; dead < 2; dead++) { /* the other one does not have it */
		g.origin[dead] = "https://127.0.0.1:1";
		g.origin[1 - dead] = hub[0].origin;
		assert_int_equal(hub_client_get(&g, &self, &moved, NULL, &e), -1);
		assert_int_equal(e.code, ERR_CLOSED);
	}
}

/* A line to the first hub that breaks in the middle of a piece, when every other piece has come from elsewhere; and then that hub has it no more. */
struct bad_line {
	int fd;
	char map[160];
	_Atomic bool broke;
};

#define PIECES (BLOB_BYTES / HUB_PIECE + 1)

static bool all_but_one_came(const char *map)
{
	unsigned whole = 0;
	uint8_t b[PIECES][4] = {{0}};
	int fd = open(map, O_RDONLY | O_CLOEXEC);

	(void)!read(fd, b, sizeof(b));
	(void)close(fd);
	for (unsigned i = 0; i < PIECES; i++) {
		uint32_t n = (uint32_t)b[i][0] | (uint32_t)b[i][1] << 8 | (uint32_t)b[i][2] << 16 |
		             (uint32_t)b[i][3] << 24;

		whole += n == (i + 1 < PIECES ? HUB_PIECE : BLOB_BYTES % HUB_PIECE);
	}
	return whole == PIECES - 1;
}

static int dial(const char *origin)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	        .sin_port = htons((uint16_t)atoi(strrchr(origin, ':') + 1))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

/* One connection, to its end. */
static void pass_on(struct bad_line *l, int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = dial(hub[0].origin), .events = POLLIN}};
	uint64_t given = 0, until = clock_mono_ns() + 20000000000u;
	uint8_t buf[16384];
	ssize_t n = 1;

	while (n > 0 && poll(p, 2, -1) > 0) {
		unsigned from = p[0].revents ? 0 : 1;

		n = recv(p[from].fd, buf, sizeof(buf), 0);
		if (n > 0)
			n = send(p[1 - from].fd, buf, (size_t)n, MSG_NOSIGNAL);
		given += from == 1 && n > 0 ? (uint64_t)n : 0;
		if (l->broke || given < HUB_PIECE / 2)
			continue;
		while (!all_but_one_came(l->map) && clock_mono_ns() < until)
			(void)sched_yield();
		drop_from(0);
		l->broke = true;
		break;
	}
	(void)close(p[1].fd);
	(void)close(fd);
}

static void *be_the_line(void *ctx)
{
	struct bad_line *l = ctx;
	int fd;

	while ((fd = accept(l->fd, NULL, NULL)) >= 0)
		pass_on(l, fd);
	return NULL;
}

static void what_one_hub_leaves_behind_comes_from_another(void **state)
{
	struct hub_get g = {.n_origins = 2, .bytes = UINT64_MAX, .path = in("got")};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct bad_line l = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	socklen_t size = sizeof(a);
	char origin[JOIN_URL_MAX];
	struct hub_self self;
	pthread_t thread;
	uint64_t moved;
	struct err e;

	(void)state;
	(void)snprintf(l.map, sizeof(l.map), "%s", in("got.map"));
	assert_int_equal(bind(l.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l.fd, 8), 0);
	assert_int_equal(getsockname(l.fd, (struct sockaddr *)&a, &size), 0);
	join_origin("127.0.0.1", ntohs(a.sin_port), origin);
	assert_int_equal(pthread_create(&thread, NULL, be_the_line, &l), 0);
	(void)node_files(ca, "press-4", clock_wall_ns(), 3600);
	self = self_of("press-4");
	g.origin[0] = origin;
	g.origin[1] = hub[1].origin;
	give_to(1);
	for (unsigned tries = 0; !l.broke && tries < 20;
	        tries++) { /* the other may be so fast that it gives all */
		give_to(0);
		memcpy(g.digest, blob_digest, 32);
		if (hub_client_get(&g, &self, &moved, NULL, &e) < 0)
			fail_msg("%s", e.msg);
		assert_true(file_is_blob(in("got")));
		assert_int_equal(unlink(in("got")), 0);
	}
	assert_true(l.broke);
	(void)shutdown(l.fd, SHUT_RDWR);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)close(l.fd);
	drop_from(1);
}

static void a_blob_is_put_once(void **state)
{
	struct hub_self self;
	uint64_t moved;
	struct err e = {0};
	uint8_t wrong[32] = {1};

	(void)state;
	make_blob();
	drop_from(2);
	(void)node_files(ca, "press-4", clock_wall_ns(), 3600);
	self = self_of("press-4");
	write_file(in("mine"), blob, BLOB_BYTES);
	if (hub_client_put(hub[2].origin, blob_digest, in("mine"), &self, &moved, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(moved, BLOB_BYTES);
	assert_true(blobs_has(hub[2].blobs, blob_digest, NULL));
	assert_int_equal(hub_client_put(hub[2].origin, blob_digest, in("mine"), &self, &moved, &e), 0);
	assert_int_equal(moved, 0);
	assert_int_equal(hub_client_put(hub[2].origin, wrong, in("mine"), &self, &moved, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_false(blobs_has(hub[2].blobs, wrong, NULL));
	write_file(in("empty"), "", 0);
	sha256_of("", 0, wrong);
	assert_int_equal(hub_client_put(hub[2].origin, wrong, in("empty"), &self, &moved, &e), 0);
	assert_true(blobs_has(hub[2].blobs, wrong, NULL));
}

/* ---- what comes in part ---- */

struct part {
	const char *node;
	uint8_t digest; /* the first byte: others are 0 */
	uint64_t sends, total;
	pthread_mutex_t *until; /* NULL, or held as long as it shall not go on after 6 bytes */
	uint64_t given;
	unsigned status;
};

static long give_part(void *ctx, uint8_t *out, size_t room)
{
	struct part *p = ctx;
	size_t n = room < 6 || p->given ? room : 6;

	if (p->given && p->until) {
		CHECK(pthread_mutex_lock(p->until) == 0 && pthread_mutex_unlock(p->until) == 0);
		return -1;
	}
	if (n > p->sends - p->given)
		n = (size_t)(p->sends - p->given);
	memset(out, 'x', n);
	p->given += n;
	return (long)n;
}

static void *send_part(void *ctx)
{
	struct part *p = ctx;
	struct hub_self self = self_of(p->node);
	struct http_request r = {.method = HTTP_PUT, .give = give_part, .put_bytes = p->sends, .ctx = p};
	uint8_t digest[32] = {p->digest};
	char url[HTTP_URL_MAX], range[100];
	struct http_answer a;
	struct http *h;
	struct err e;

	(void)snprintf(range, sizeof(range), "Content-Range: bytes 0-%llu/%llu",
	        (unsigned long long)(p->sends - 1), (unsigned long long)p->total);
	CHECK(hub_blob_url(hub[2].origin, digest, url, &e) == 0 && hub_http(&self, 0, false, &h, &e) == 0);
	r.url = url;
	r.header[0] = range;
	p->status = http_ask(h, &r, &a, &e) < 0 ? 0 : a.status;
	http_free(h);
	return NULL;
}

static unsigned part(const char *node, uint8_t digest, uint64_t sends, uint64_t total)
{
	struct part p = {.node = node, .digest = digest, .sends = sends, .total = total};

	(void)send_part(&p);
	return p.status;
}

static const char *incoming(uint8_t digest)
{
	static char path[256];
	uint8_t d[32] = {digest};
	char hex[SHA256_HEX + 1];

	sha256_hex(d, hex);
	(void)snprintf(path, sizeof(path), "%s/incoming/%s", hub[2].store, hex);
	return path;
}

static void who_begins_many_loses_his_own(void **state)
{
	(void)state;
	(void)node_files(ca, "press-4", clock_wall_ns(), 3600);
	(void)node_files(ca, "press-5", clock_wall_ns(), 3600);
	assert_int_equal(part("press-5", 1, 6, 10), 202);
	for (unsigned i = 0; i < HUB_UPLOADS_NODE + 4; i++)
		assert_int_equal(part("press-4", (uint8_t)(100 + i), 6, 10), 202);
	assert_int_equal(access(incoming(1), F_OK), 0);
	for (unsigned i = 0; i < HUB_UPLOADS_NODE + 4; i++) /* the oldest went */
		assert_int_equal(access(incoming((uint8_t)(100 + i)), F_OK), i < 4 ? -1 : 0);
}

static void all_that_come_fit_together(void **state)
{
	pthread_mutex_t until = PTHREAD_MUTEX_INITIALIZER;
	const uint64_t most = STORE_BYTES / 5 * 3;
	struct part slow = {.node = "press-4", .digest = 10, .sends = most, .total = most, .until = &until};
	pthread_t t;

	(void)state;
	drop_from(2);
	(void)node_files(ca, "press-4", clock_wall_ns(), 3600);
	(void)node_files(ca, "press-5", clock_wall_ns(), 3600);
	assert_int_equal(pthread_mutex_lock(&until), 0);
	assert_int_equal(pthread_create(&t, NULL, send_part, &slow), 0);
	while (access(incoming(10), F_OK) < 0) /* it has begun */
		(void)sched_yield();
	assert_int_equal(part("press-5", 11, 6, most), 507);
	assert_int_equal(part("press-5", 11, 6, STORE_BYTES / 5), 202);
	assert_int_equal(pthread_mutex_unlock(&until), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(slow.status, 0); /* it broke off */
	for (unsigned i = 0; i < 1000 && part("press-5", 12, 6, most) != 202; i++)
		(void)sched_yield(); /* the hub hears of that in a moment */
	assert_int_equal(part("press-5", 12, 6, most), 202);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_hub_is_known_by_its_fingerprint),
	        cmocka_unit_test(of_what_a_hub_shows_only_its_certificate_is_kept),
	        cmocka_unit_test(what_is_asked_is_checked_before_the_loop_hears_of_it),
	        cmocka_unit_test(too_large_a_body_is_refused),
	        cmocka_unit_test(wrong_tokens_are_answered_at_a_pace),
	        cmocka_unit_test(certificates_that_do_not_count_let_nobody_in),
	        cmocka_unit_test(only_who_was_removed_is_told_so),
	        cmocka_unit_test(a_node_is_no_hub),
	        cmocka_unit_test(a_blob_comes_from_several_hubs_and_no_byte_twice),
	        cmocka_unit_test(what_came_before_is_not_asked_for_again),
	        cmocka_unit_test(of_several_hubs_one_may_lie),
	        cmocka_unit_test(hub_that_may_answer_yet_is_asked_again),
	        cmocka_unit_test(what_one_hub_leaves_behind_comes_from_another),
	        cmocka_unit_test(a_blob_is_put_once),
	        cmocka_unit_test(who_begins_many_loses_his_own),
	        cmocka_unit_test(all_that_come_fit_together),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
