/* SPDX-License-Identifier: Apache-2.0 */
/* test_handover - a hub's keys at its standby: whole, closed to others, of this hub and no other, and never lost with the hub's own. */
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
#include "io/ca.h"
#include "io/clock.h"
#include "io/handover.h"
#include "dir_help.h"

static uint8_t ca_sha256[32];

static void put(const char *name, const char *text)
{
	struct err e;

	assert_int_equal(cert_file_write(in(name), text, strlen(text), 0600, &e), 0);
}

static bool has(const char *name, const char *text)
{
	char *got = NULL;
	size_t n;
	bool same = cert_file_read(in(name), &got, &n, NULL) == 0 && strcmp(got, text) == 0;

	free(got);
	return same;
}

/* The authority of a hub in FOLDER/hub, and two keys. */
static void hub_make(const char *folder, uint8_t *digest)
{
	char name[100];
	struct ca *ca;
	struct err e;

	assert_int_equal(mkdir(in(folder), 0700), 0);
	(void)snprintf(name, sizeof(name), "%s/hub", folder);
	assert_int_equal(ca_open(in(name), "plant", clock_wall_ns(), &ca, &e), 0);
	if (digest)
		ca_fingerprint(ca, digest);
	ca_close(ca);
	(void)snprintf(name, sizeof(name), "%s/keys", folder);
	assert_int_equal(mkdir(in(name), 0700), 0);
	(void)snprintf(name, sizeof(name), "%s/keys/ledger.key", folder);
	put(name, "now");
	(void)snprintf(name, sizeof(name), "%s/keys/ledger.key.1", folder);
	put(name, "before");
	(void)snprintf(name, sizeof(name), "%s/keys/witness.key", folder);
	put(name, "mine alone");
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-handover-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	hub_make("a", ca_sha256);
	return mkdir(in("b"), 0700);
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static int hand_over(json_t *files, struct err *e)
{
	bool changed = false;
	int rc = handover_write(in("b"), files, ca_sha256, 32, &changed, e);

	json_decref(files);
	return rc < 0 ? rc : changed;
}

static json_t *files_of(const char *folder)
{
	struct err e = {0};
	json_t *files = handover_read(in(folder), &e);

	if (!files)
		fail_msg("%s", e.msg);
	return files;
}

static void what_is_handed_over_is_whole_and_closed_to_others(void **state)
{
	static const char *const all[] = {
	        "b/hub/ca.key", "b/hub/ca.crt", "b/keys/ledger.key", "b/keys/ledger.key.1"};
	struct stat st;
	struct err e;

	(void)state;
	assert_int_equal(hand_over(files_of("a"), &e), 1);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(stat(in(all[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_int_equal(access(in("b/keys/witness.key"), F_OK), -1);
	assert_true(has("b/keys/ledger.key", "now"));
	assert_int_equal(hand_over(files_of("a"), &e), 0); /* nothing is new */
}

static void a_rotation_is_followed(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(hand_over(files_of("a"), &e), 1);
	put("a/keys/ledger.key", "next");
	assert_int_equal(unlink(in("a/keys/ledger.key.1")), 0);
	put("a/keys/ledger.key.2", "now");
	assert_int_equal(hand_over(files_of("a"), &e), 1);
	assert_true(has("b/keys/ledger.key", "next"));
	assert_true(has("b/keys/ledger.key.2", "now"));
	assert_int_equal(access(in("b/keys/ledger.key.1"), F_OK), -1);
}

static void a_hub_that_lost_a_key_does_not_take_the_last_one_away(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(hand_over(files_of("a"), &e), 1);
	assert_int_equal(unlink(in("a/keys/ledger.key")), 0);
	assert_int_equal(hand_over(files_of("a"), &e), 0);
	assert_true(has("b/keys/ledger.key", "now"));
	assert_int_equal(unlink(in("a/keys/ledger.key.1")), 0);
	assert_int_equal(hand_over(files_of("a"), &e), 0);
	assert_true(has("b/keys/ledger.key.1", "before"));
}

static void a_damaged_authority_is_not_taken(void **state)
{
	char *key, *other;
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(hand_over(files_of("a"), &e), 1);
	assert_int_equal(cert_file_read(in("a/hub/ca.key"), &key, &n, &e), 0);
	hub_make("c", NULL);
	assert_int_equal(cert_file_read(in("c/hub/ca.key"), &other, &n, &e), 0);
	put("a/hub/ca.key", "");
	assert_int_equal(hand_over(files_of("a"), &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	put("a/hub/ca.key", other);
	put("a/keys/ledger.key", "another");
	assert_int_equal(hand_over(files_of("a"), &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "hub/ca.key is damaged there"));
	assert_true(has("b/hub/ca.key", key));
	assert_true(has("b/keys/ledger.key", "now"));
	assert_int_equal(hand_over(files_of("c"), &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_true(has("b/hub/ca.key", key));
	free(key);
	free(other);
}

static void what_is_no_key_is_written_nowhere(void **state)
{
	static const char *const names[] = {"keys/../../x.key", "keys/witness.key", "keys/a.key.1234",
	        "hub/x.key", "/etc/x", "keys/a.key/b", "keys/.key", ""};
	struct err e;

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *files = files_of("a");

		json_object_set_new(files, names[i], json_string("eHl6"));
		assert_int_equal(hand_over(files, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_int_equal(access(in("b/keys"), F_OK), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                what_is_handed_over_is_whole_and_closed_to_others, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_rotation_is_followed, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                a_hub_that_lost_a_key_does_not_take_the_last_one_away, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_damaged_authority_is_not_taken, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_is_no_key_is_written_nowhere, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
