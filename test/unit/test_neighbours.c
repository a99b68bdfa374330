/* SPDX-License-Identifier: Apache-2.0 */
/* test_neighbours - who gets a blob from a neighbour, and whom one takes for a neighbour. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "core/ticket.h"
#include "engine/neighbours.h"
#include "io/ca.h"
#include "io/clock.h"
#include "io/hub_client.h"
#include "dir_help.h"

#define BLOB_BYTES 300000u

static struct ca *ca, *stranger;
static struct blobs *blobs;
static struct neighbours *server;
static uint8_t digest[32], bytes[BLOB_BYTES];

/* DIR/NAME as a node has it: the files of its certificate by `by`. */
static void node_make(struct ca *by, const char *folder, const char *name)
{
	char key[160], crt[160], root[160], *pem;
	struct cert_request *r;
	struct cert c;
	struct err e;
	size_t n;
	const char *ca_text = ca_pem(by, &n);

	assert_int_equal(mkdir(in(folder), 0700), 0);
	(void)snprintf(key, sizeof(key), "%s/%s/client.key", dir, folder);
	(void)snprintf(crt, sizeof(crt), "%s/%s/client.crt", dir, folder);
	(void)snprintf(root, sizeof(root), "%s/%s/ca.crt", dir, folder);
	assert_int_equal(cert_key_make(key, &e), 0);
	assert_int_equal(cert_request_make(key, name, &pem, &e), 0);
	assert_int_equal(cert_request_read(pem, strlen(pem), &r, &e), 0);
	free(pem);
	assert_int_equal(ca_issue(by, r, name, clock_wall_ns(), 3600, &pem, &c, &e), 0);
	cert_request_free(r);
	assert_int_equal(cert_file_write(crt, pem, strlen(pem), 0600, &e), 0);
	assert_int_equal(cert_file_write(root, ca_text, n, 0600, &e), 0);
	free(pem);
}

/* A node whose certificate is the hub's own, as a server. */
static void impostor_make(void)
{
	char cmd[512];

	(void)snprintf(cmd, sizeof(cmd),
	        "cd '%s' && mkdir hubs && cp hub/ca.crt hubs/ && cp hub/server.crt hubs/client.crt && cp "
	        "hub/server.key "
	        "hubs/client.key",
	        dir);
	assert_int_equal(system(cmd), 0);
}

static int setup(void **state)
{
	static const char *const names[] = {"localhost", "127.0.0.1"};
	struct err e;
	bool changed;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-near-XXXXXX");
	if (!mkdtemp(dir) || ca_open(in("hub"), "plant", clock_wall_ns(), &ca, &e) < 0 ||
	        ca_open(in("other"), "plant", clock_wall_ns(), &stranger, &e) < 0 ||
	        ca_server(ca, names, 2, clock_wall_ns(), &changed, &e) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 1000);
	if (mkdir(in("store"), 0700) < 0 || blobs_open(in("store"), NULL, &blobs, &e) < 0 ||
	        blobs_put(blobs, bytes, sizeof(bytes), digest, &e) < 0)
		return -1;
	node_make(ca, "a", "a");
	node_make(ca, "b", "b");
	node_make(stranger, "x", "a");
	impostor_make();
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	blobs_close(blobs);
	ca_close(ca);
	ca_close(stranger);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static void serve(const char *folder)
{
	struct err e;

	neighbours_close(server);
	server = NULL;
	if (folder && neighbours_open(in(folder), "plant", 0, blobs, in("parts"), &server, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct ticket good(void)
{
	struct ticket t = {
	        .hub = "plant", .node = "b", .expires_s = clock_wall_ns() / 1000000000u + 60, .n = 1};

	memcpy(t.blob[0], digest, 32);
	return t;
}

static bool coming;
static pthread_t bringer;

/* It comes to the neighbour when it was asked for in vain. */
static void *bring(void *ctx)
{
	uint8_t same[32];
	struct err e;

	while (neighbours_waited(server) == 0)
		(void)sched_yield();
	assert_int_equal(blobs_put(blobs, bytes, sizeof(bytes), same, &e), 0);
	return ctx;
}

/* Bytes that b got, with this ticket by that authority, from whom it takes for `name`; 0: none. */
static uint64_t get(const struct ticket *t, const struct ca *by, const char *name)
{
	struct hub_self self = {
	        .ca = in("b/ca.crt"), .cert = in("b/client.crt"), .key = in("b/client.key"), .stop_fd = -1};
	char at[40], text[TICKET_BYTES_MAX * 2];
	uint8_t signed_[TICKET_BYTES_MAX];
	struct hub_get g = {.bytes = BLOB_BYTES, .path = in("got"), .n_near = 1, .ticket = text};
	uint64_t moved = 0, near = 0;
	size_t n = ticket_write(t, signed_);
	struct err e;
	int rc;

	ca_sign(by, signed_, n, signed_ + n);
	text[base64_write(signed_, n + TICKET_SIG, text)] = '\0';
	(void)snprintf(at, sizeof(at), "127.0.0.1:%u", neighbours_port(server));
	g.near[0].name = name;
	g.near[0].at = at;
	g.near[0].coming = coming;
	memcpy(g.digest, digest, 32);
	rc = hub_client_get(&g, &self, &moved, &near, &e);
	(void)unlink(in("got"));
	assert_int_equal(moved, near);
	assert_int_equal(rc == 0, moved == BLOB_BYTES);
	return moved;
}

static void ticket_of_the_hub_gets_the_blob(void **state)
{
	struct ticket t = good();

	(void)state;
	serve("a");
	assert_int_equal(get(&t, ca, "a"), BLOB_BYTES);
}

static void ticket_for_something_else_gets_nothing(void **state)
{
	struct ticket t = good();

	(void)state;
	serve("a");
	assert_int_equal(get(&t, stranger, "a"), 0);
	t.node[0] = 'c';
	assert_int_equal(get(&t, ca, "a"), 0);
	t = good();
	t.expires_s -= 61;
	assert_int_equal(get(&t, ca, "a"), 0);
	t = good();
	t.hub[0] = 'q';
	assert_int_equal(get(&t, ca, "a"), 0);
	t = good();
	t.blob[0][3] ^= 1;
	assert_int_equal(get(&t, ca, "a"), 0);
	t = good();
	assert_int_equal(get(&t, ca, "a"), BLOB_BYTES);
}

static void who_is_still_getting_it_is_waited_for(void **state)
{
	struct ticket t = good();
	struct err e;

	(void)state;
	serve("a");
	assert_int_equal(blobs_remove(blobs, digest, &e), 0);
	neighbours_expect(server, digest);
	assert_int_equal(pthread_create(&bringer, NULL, bring, NULL), 0);
	coming = true;
	assert_int_equal(get(&t, ca, "a"), BLOB_BYTES);
	coming = false;
	assert_int_equal(pthread_join(bringer, NULL), 0);
	assert_int_equal(blobs_remove(blobs, digest, &e), 0);
	assert_int_equal(get(&t, ca, "a"), 0); /* who does not wait hears that it is not there */
	assert_int_equal(blobs_put(blobs, bytes, sizeof(bytes), digest, &e), 0);
}

static void who_shows_another_certificate_is_not_asked(void **state)
{
	struct ticket t = good();

	(void)state;
	serve("a");
	assert_int_equal(get(&t, ca, "c"), 0);
	assert_int_equal(get(&t, ca, "127.0.0.1"), 0);
	serve("hubs"); /* a server's certificate is no node's, even the hub's own */
	assert_int_equal(get(&t, ca, "plant"), 0);
	assert_int_equal(get(&t, ca, "localhost"), 0);
	serve("x"); /* the right name, of another authority */
	assert_int_equal(get(&t, ca, "a"), 0);
	serve(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ticket_of_the_hub_gets_the_blob),
	        cmocka_unit_test(ticket_for_something_else_gets_nothing),
	        cmocka_unit_test(who_is_still_getting_it_is_waited_for),
	        cmocka_unit_test(who_shows_another_certificate_is_not_asked),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
