/* SPDX-License-Identifier: Apache-2.0 */
/* test_parent - which certificates a node takes for its own: of its hub, with its name, for its key; and what it has stays when they are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "engine/parent.h"
#include "engine/parent_key.h"
#include "io/ca.h"
#include "io/clock.h"
#include "dir_help.h"

static struct ca *ca, *other;

/* A certificate by `by` for the key in that file. */
static char *certificate(struct ca *by, const char *key, const char *name)
{
	struct cert_request *r;
	struct cert c;
	struct err e;
	char *pem;

	assert_int_equal(cert_key_make(in(key), &e), 0);
	assert_int_equal(cert_request_make(in(key), name, &pem, &e), 0);
	assert_int_equal(cert_request_read(pem, strlen(pem), &r, &e), 0);
	free(pem);
	assert_int_equal(ca_issue(by, r, name, clock_wall_ns(), 3600, &pem, &c, &e), 0);
	cert_request_free(r);
	return pem;
}

static int setup(void **state)
{
	const char *text;
	struct err e;
	size_t n;
	char *pem;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-parent-XXXXXX");
	if (!mkdtemp(dir) || ca_open(in("hub"), "plant", clock_wall_ns(), &ca, &e) < 0 ||
	        ca_open(in("other"), "plant", clock_wall_ns(), &other, &e) < 0)
		return -1;
	text = ca_pem(ca, &n);
	pem = certificate(ca, "client.key", "press-4");
	if (cert_file_write(in("ca.crt"), text, n, 0644, &e) < 0 ||
	        cert_file_write(in("client.crt"), pem, strlen(pem), 0644, &e) < 0)
		return -1;
	free(pem);
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	ca_close(ca);
	ca_close(other);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static struct parent_info info = {.hub = "plant", .node = "press-4"};

static enum err_code told(struct ca *by, const char *key, const char *name)
{
	char *pem = certificate(by, key, name);
	struct parent_info i = info;
	struct err e = {0};
	int rc = parent_certificates(dir, pem, &i, &e);

	free(pem);
	if (rc < 0)
		assert_memory_equal(&i, &info, sizeof(i));
	return rc < 0 ? e.code : ERR_NONE;
}

static void what_is_in_the_folder_is_taken(void **state)
{
	struct parent_info i = info;
	uint8_t digest[32];
	struct err e;

	(void)state;
	assert_int_equal(parent_certificates(dir, NULL, &i, &e), 0);
	ca_fingerprint(ca, digest);
	assert_memory_equal(i.hub_sha256, digest, 32);
	assert_string_equal(i.cert.name, "press-4");
}

static void a_new_one_must_be_ours(void **state)
{
	struct parent_info i = info;
	struct err e = {0};

	(void)state;
	assert_int_equal(told(ca, "client.key", "press-4"), ERR_NONE);
	assert_int_equal(told(ca, "client.key", "press-5"), ERR_CORRUPT);
	assert_int_equal(told(other, "client.key", "press-4"), ERR_DENIED);
	assert_int_equal(told(ca, "another.key", "press-4"), ERR_CORRUPT);
	assert_int_equal(parent_certificates(dir, "nothing", &i, &e), -1);
	assert_true(e.msg[0] != '\0');
}

static void a_certificate_of_another_key_is_none(void **state)
{
	struct parent_info i = info;
	struct err e;
	char *pem = certificate(ca, "third.key", "press-4");

	(void)state;
	assert_int_equal(cert_file_write(in("client.crt"), pem, strlen(pem), 0644, &e), 0);
	free(pem);
	assert_int_equal(parent_certificates(dir, NULL, &i, &e), -1);
	assert_non_null(strstr(e.msg, "client.key"));
}

static json_t *place(const char *origin, const char *broker, int port)
{
	return json_pack("{s:s, s:s, s:i}", "origin", origin, "broker", broker, "broker_port", port);
}

static struct parent_info joined(const char *broker)
{
	struct parent_info i = info;

	i.n_hubs = 1;
	(void)snprintf(i.hubs[0].origin, sizeof(i.hubs[0].origin), "https://10.0.0.1:7443");
	(void)snprintf(i.hubs[0].broker_host, sizeof(i.hubs[0].broker_host), "%s", broker);
	i.hubs[0].broker_port = 8883;
	i.hubs[0].broker_tls = true;
	return i;
}

/* Hubs of one record at somebody else's broker: who speaks there now is where files and certificates are asked for. */
static void of_hubs_at_one_broker_it_is_the_one_that_speaks(void **state)
{
	json_t *first = json_pack("[o, o]", place("https://10.0.0.1:7443", "mqtts://10.0.0.9:8883", 8883),
	        place("https://10.0.0.2:7443", "mqtts://10.0.0.9:8883", 8883));
	json_t *second = json_pack("[O, O]", json_array_get(first, 1), json_array_get(first, 0));
	struct parent_info i = joined("10.0.0.9");

	(void)state;
	assert_true(parent_take_places(&i, first));
	assert_int_equal(i.n_hubs, 2);
	assert_string_equal(i.hubs[i.at].origin, "https://10.0.0.1:7443");
	assert_false(parent_take_places(&i, first));
	assert_true(parent_take_places(&i, second)); /* the other has taken over */
	assert_int_equal(i.n_hubs, 2);
	assert_string_equal(i.hubs[i.at].origin, "https://10.0.0.2:7443");
	json_decref(first);
	json_decref(second);
}

static void of_hubs_with_a_broker_each_it_is_the_one_whose_broker_we_are_at(void **state)
{
	json_t *list = json_pack(
	        "[o, o]", place("https://10.0.0.1:7443", "", 8883), place("https://10.0.0.2:7443", "", 8883));
	json_t *none = json_pack("[o]", place("http://10.0.0.3", "", 8883));
	struct parent_info i = joined("10.0.0.1");

	(void)state;
	assert_true(parent_take_places(&i, list));
	i.at = 1;
	assert_false(parent_take_places(&i, list));
	assert_string_equal(i.hubs[i.at].origin, "https://10.0.0.2:7443");
	assert_false(parent_take_places(&i, none));
	json_decref(list);
	json_decref(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(what_is_in_the_folder_is_taken, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_new_one_must_be_ours, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_certificate_of_another_key_is_none, setup, teardown),
	        cmocka_unit_test(of_hubs_at_one_broker_it_is_the_one_that_speaks),
	        cmocka_unit_test(of_hubs_with_a_broker_each_it_is_the_one_whose_broker_we_are_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
