/* SPDX-License-Identifier: Apache-2.0 */
/* config - the node's configuration file: what is taken, and what is said of mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/config.h"
#include "io/doc_yaml.h"

#define MEM (1u << 20)

static struct config config;
static struct err err;
static uint8_t *mem;

static int load(const char *yaml)
{
	struct jobspec_problem p;
	const struct doc *root;
	struct arena a;

	free(mem);
	mem = aligned_alloc(16, MEM);
	assert_non_null(mem);
	arena_init(&a, mem, MEM);
	memset(&err, 0, sizeof(err));
	assert_int_equal(doc_yaml_parse(&a, yaml, strlen(yaml), &root, &p), 0);
	return config_from_doc(&a, root, "config.yaml", &config, &err);
}

static void empty_file_is_all_defaults(void **state)
{
	char path[] = "/tmp/osier-config-XXXXXX";
	static _Alignas(16) uint8_t small[4096];
	const char text[] = "# nothing\n\n";
	struct arena a;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	(void)close(fd);
	arena_init(&a, small, sizeof(small));
	assert_int_equal(config_load(&a, path, false, &config, &err), 0);
	(void)unlink(path);
	arena_init(&a, small, sizeof(small));
	assert_int_equal(config_load(&a, path, true, &config, &err), 0);
	assert_int_equal(config_load(&a, path, false, &config, &err), -1);
	assert_string_equal(config.name, "");
	assert_int_equal(config.history_age_ns, UINT64_C(30) * 86400 * 1000000000);
	assert_int_equal(config.history_bytes, 1u << 30);
	assert_int_equal(config.n_capacity, 0);
}

static void every_key_is_read(void **state)
{
	(void)state;
	assert_int_equal(load("name: press-4\n"
	                      "labels: {hall: north}\n"
	                      "capacity: {cpu: 1.5, memory: 12GiB, licence: 3}\n"
	                      "devices:\n"
	                      "  add: [{resource: laser, id: L-17, model: TruMark, share: 0.25}]\n"
	                      "  hide: [GPU-3f2a, gpu/1]\n"
	                      "  rename: {gpu/0: vision}\n"
	                      "namespaces: {team-a: {weight: 3, quota: {cpu: 8, memory: 16GiB}}}\n"
	                      "history: {age: 12h, bytes: 500MB}\n"
	                      "blobs: {age: 7d, bytes: 1TiB}\n"
	                      "limits: {memory: 1GiB, jobs: 100, leases: 50, reserve: 1MiB}\n"),
	        0);
	assert_string_equal(config.name, "press-4");
	assert_string_equal(config.labels[0].from, "hall");
	assert_string_equal(config.labels[0].to, "north");
	assert_int_equal(config.n_capacity, 3);
	assert_int_equal(config.capacity[0].amount, 1500);
	assert_int_equal(config.capacity[1].amount, UINT64_C(12) << 30);
	assert_string_equal(config.capacity[2].resource, "licence");
	assert_int_equal(config.capacity[2].amount, 3000);
	assert_string_equal(config.add[0].id, "L-17");
	assert_int_equal(config.add[0].milli, 250);
	assert_int_equal(config.n_hide, 2);
	assert_string_equal(config.rename[0].to, "vision");
	assert_int_equal(config.namespaces[0].weight, 3);
	assert_int_equal(config.namespaces[0].quota[1].amount, UINT64_C(16) << 30);
	assert_int_equal(config.history_age_ns, UINT64_C(12) * 3600 * 1000000000);
	assert_int_equal(config.history_bytes, 500000000);
	assert_int_equal(config.blobs_bytes, UINT64_C(1) << 40);
	assert_int_equal(config.memory_bytes, 1u << 30);
	assert_int_equal(config.jobs_max, 100);
	assert_int_equal(config.leases_max, 50);
	assert_int_equal(config.disk_reserve_bytes, 1u << 20);
}

static void unknown_key_is_told_with_its_line_and_a_guess(void **state)
{
	(void)state;
	assert_int_equal(load("name: a\nhistroy: {age: 1d}\n"), -1);
	assert_string_equal(err.msg, "config.yaml:2:1: unknown key 'histroy'");
	assert_string_equal(err.hint, "did you mean 'history'?");
	assert_int_equal(load("qqqq: 1\n"), -1);
	assert_string_equal(err.hint, "");
}

static void wrong_value_is_told_with_what_is_expected(void **state)
{
	static const char *const bad[] = {
	        "name: [a]\n",
	        "name: 'a b'\n",
	        "name: \"\"\n",
	        "capacity: {cpu: many}\n",
	        "capacity: {cpu: 1.2345}\n",
	        "capacity: {cpu: -1}\n",
	        "capacity: {memory: 5 bananas}\n",
	        "capacity: {'bad name': 1}\n",
	        "capacity: 5\n",
	        "devices: {add: {resource: a}}\n",
	        "devices: {add: [{resource: a}]}\n",
	        "devices: {add: [{resource: a, id: b, share: 2}]}\n",
	        "devices: {add: [{resource: a, id: b, share: 0}]}\n",
	        "devices: {hide: x}\n",
	        "namespaces: {a: {weight: 0}}\n",
	        "namespaces: {a: {weight: 1.5}}\n",
	        "history: {age: 5}\n",
	        "history: {bytes: -1}\n",
	        "limits: {memory: 1KiB}\n",
	        "limits: {jobs: 0}\n",
	        "- a\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (load(bad[i]) != -1)
			fail_msg("taken: %s", bad[i]);
		if (strncmp(err.msg, "config.yaml:1:", 14) != 0)
			fail_msg("%s -> %s", bad[i], err.msg);
		assert_int_equal(err.code, ERR_INVALID);
	}
	assert_int_equal(load("a: 1\n\nlimits:\n  jobs: none\n"), -1);
	assert_int_equal(load("limits:\n  jobs: none\n"), -1);
	assert_string_equal(err.msg,
	        "config.yaml:2:9: 'jobs': found 'none', expected a whole number from 1 to 100000000");
}

static void units_are_exact(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(config_bytes("1.5KiB", &v), 0);
	assert_int_equal(v, 1536);
	assert_int_equal(config_bytes("2MB", &v), 0);
	assert_int_equal(v, 2000000);
	assert_int_equal(config_bytes("99999999999T", &v), -1);
	assert_int_equal(config_bytes("1.", &v), -1);
	assert_int_equal(config_bytes("", &v), -1);
	assert_int_equal(config_milli("0.001", &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(config_milli("1k", &v), -1);
	assert_int_equal(config_ns("1.5s", &v), 0);
	assert_int_equal(v, 1500000000);
	assert_int_equal(config_ns("90", &v), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(empty_file_is_all_defaults),
	        cmocka_unit_test(every_key_is_read),
	        cmocka_unit_test(unknown_key_is_told_with_its_line_and_a_guess),
	        cmocka_unit_test(wrong_value_is_told_with_what_is_expected),
	        cmocka_unit_test(units_are_exact),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	free(mem);
	return rc;
}
