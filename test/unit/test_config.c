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

static void places_to_listen_are_read(void **state)
{
	static const char *const good[] = {
	        "127.0.0.1:8700", "0.0.0.0:0", "[::]:65535", "[::1]:80", "[fe80::1:2]:8700"};
	char text[120];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		(void)snprintf(text, sizeof(text), "ledger: {listen: '%s', entries: public}\n", good[i]);
		assert_int_equal(load(text), 0);
		assert_string_equal(config.ledger_listen, good[i]);
		assert_true(config.ledger_entries_public);
	}
	assert_int_equal(load("ledger: {entries: owner}\n"), 0);
	assert_false(config.ledger_entries_public);
	assert_string_equal(config.ledger_listen, "");
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
	        "ledger: {listen: 8700}\n",
	        "ledger: {listen: 'localhost:8700'}\n",
	        "ledger: {listen: '127.0.0.1'}\n",
	        "ledger: {listen: '127.0.0.1:'}\n",
	        "ledger: {listen: '127.0.0.1:65536'}\n",
	        "ledger: {listen: '127.0.0.1:-1'}\n",
	        "ledger: {listen: '127.0.0.1:99999999999999999999'}\n",
	        "ledger: {listen: '127.0.0.256:80'}\n",
	        "ledger: {listen: '::1:80'}\n",
	        "ledger: {listen: '[::1:80'}\n",
	        "ledger: {listen: '[]:80'}\n",
	        "ledger: {listen: ':80'}\n",
	        "ledger: {listen: [a]}\n",
	        "ledger: {entries: yes}\n",
	        "ledger: {entries: [public]}\n",
	        "history: {bytes: -1}\n",
	        "labels: {arch: amd64}\n",
	        "link: {bytes: 0}\n",
	        "link: {per: 1d}\n",
	        "link: {bytes: 1GiB, per: 1s}\n",
	        "link: {hours: 22-25}\n",
	        "link: {hours: '22:60-23'}\n",
	        "link: {hours: 22-22}\n",
	        "link: {hours: 22}\n",
	        "link: {hours: 22-24:01}\n",
	        "link: {cost: 1001}\n",
	        "scheduling: {pack: tight}\n",
	        "address: 'not a name'\n",
	        "address: 10.0.0.4/24\n",
	        "gang: {port: 7500}\n",
	        "gang: {ports: 7500}\n",
	        "gang: {ports: 8000-7500}\n",
	        "gang: {ports: 0-100}\n",
	        "gang: {ports: 7500-8524}\n",
	        "gang: {ports: 65000-65536}\n",
	        "gang: {ports: 1-2x}\n",
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

static void where_others_reach_it_is_read(void **state)
{
	(void)state;
	assert_int_equal(load("name: a\n"), 0);
	assert_string_equal(config.address, "");
	assert_int_equal(config.gang_ports, 0);
	assert_int_equal(load("address: '2001:db8::4'\ngang: {ports: 7500-8523}\n"), 0);
	assert_string_equal(config.address, "2001:db8::4");
	assert_int_equal(config.gang_port, 7500);
	assert_int_equal(config.gang_ports, 1024);
}

static void links_and_packing_are_read(void **state)
{
	(void)state;
	assert_int_equal(load("link: {bytes: 2GiB, per: 12h, hours: '22:30-06:00', cost: 5}\n"
	                      "scheduling: {pack: spread}\n"),
	        0);
	assert_true(config.link.bytes == 2ull << 30 && config.link.per_ns == 12 * 3600000000000ull);
	assert_int_equal(config.link.from_min, 22 * 60 + 30);
	assert_int_equal(config.link.to_min, 360);
	assert_int_equal(config.link.cost, 5);
	assert_int_equal(config.pack, WIRE__JOB_SPEC__PACK__SPREAD);
	assert_int_equal(load("link: {bytes: 1}\n"), 0);
	assert_true(
	        config.link.per_ns == 24 * 3600000000000ull && config.link.from_min == config.link.to_min);
	assert_int_equal(load("link: {hours: 0-24}\n"), -1); /* that is always */
	assert_int_equal(load("link: {hours: 18-24}\n"), 0);
	assert_int_equal(config.link.to_min, 0);
}

static void anchors_are_read(void **state)
{
	const struct config_anchor *a;

	(void)state;
	assert_int_equal(
	        load("ledger:\n"
	             "  anchors:\n"
	             "    - chain: {rpc: [http://a:1, 'https://b/key'], id: 5, every: 10m, confirmations: "
	             "12, fee: 1.5gwei,\n"
	             "              tip: 7wei, contract: '0x5fbdb2315678afecb367f032d93f642f64180aa3', poll: "
	             "200ms, replace: 1s}\n"
	             "    - chain: {rpc: http://c, id: 6, ca: /etc/ca.pem, timeout: 3s}\n"
	             "    - authority: {url: https://tsa.example/tsr, ca: /etc/tsa.pem, every: 12h}\n"
	             "    - calendars: {urls: [http://x, http://y], least: 2}\n"),
	        0);
	assert_int_equal(config.n_anchors, 4);
	a = config.anchors;
	assert_int_equal(a[0].kind, CONFIG_CHAIN);
	assert_string_equal(a[0].urls[1], "https://b/key");
	assert_int_equal(a[0].every_ns, UINT64_C(600) * 1000000000);
	assert_int_equal(a[0].chain.chain_id, 5);
	assert_int_equal(a[0].chain.confirmations, 12);
	assert_int_equal(a[0].chain.fee_max, 1500000000);
	assert_int_equal(a[0].chain.tip_least, 7);
	assert_int_equal(a[0].chain.poll_ns, 200000000);
	assert_int_equal(a[0].chain.replace_ns, 1000000000);
	assert_true(a[0].has_contract);
	assert_int_equal(a[0].chain.contract[0], 0x5f);
	assert_false(a[1].has_contract);
	assert_string_equal(a[1].ca, "/etc/ca.pem");
	assert_int_equal(a[1].timeout_ns, UINT64_C(3000000000));
	assert_int_equal(a[1].every_ns, UINT64_C(3600) * 1000000000);
	assert_int_equal(a[2].kind, CONFIG_AUTHORITY);
	assert_string_equal(a[2].urls[0], "https://tsa.example/tsr");
	assert_string_equal(a[2].ca, "/etc/tsa.pem");
	assert_int_equal(a[3].kind, CONFIG_CALENDARS);
	assert_int_equal(a[3].n_urls, 2);
	assert_int_equal(a[3].least, 2);
}

static void wrong_anchor_is_told_with_its_place(void **state)
{
	static const struct {
		const char *anchor, *said;
	} bad[] = {
	        {"{chain: {rpc: http://a}}", "'id' is missing"},
	        {"{chain: {id: 1}}", "'rpc' is missing"},
	        {"{chain: {rpc: ftp://a, id: 1}}", "https://HOST/PATH"},
	        {"{chain: {rpc: [], id: 1}}", "1 to 8 addresses"},
	        {"{chain: {rpc: http://a, id: 0}}", "a whole number from 1"},
	        {"{chain: {rpc: http://a, id: 1, contract: 0x12}}", "40 hexadecimal digits"},
	        /* the last digit's capital is not EIP-55's */
	        {"{chain: {rpc: http://a, id: 1, contract: '0x5FbDB2315678afecb367f032d93F642f64180aA3'}}",
	                "capitals"},
	        {"{chain: {rpc: http://a, id: 1, fee: 5}}", "such as 30gwei"},
	        {"{chain: {rpc: http://a, id: 1, fee: 0gwei}}", "highest fee"},
	        {"{chain: {rpc: http://a, id: 1, fee: 1.5wei}}", "such as 30gwei"},
	        {"{chain: {rpc: http://a, id: 1, fee: 1wei, tip: 2wei}}", "least tip"},
	        {"{chain: {rpc: http://a, id: 1, every: 0s}}", "a time from 1s"},
	        {"{chain: {rpc: http://a, id: 1, poll: 2s, replace: 1s}}", "one look"},
	        {"{chain: {rpc: http://a, id: 1, confirmation: 2}}", "unknown key"},
	        {"{chain: {rpc: http://a, id: 1}, authority: {url: http://a}}", "one of chain"},
	        {"{}", "one of chain"},
	        {"{chian: {}}", "unknown key"},
	        {"{authority: {url: [http://a]}}", "one address"},
	        {"{authority: {url: http://a, ca: here.pem}}", "from '/' on"},
	        {"{calendars: {urls: [http://a], least: 2}}", "a whole number from 1 to 1"},
	        {"{calendars: {urls: [http://a/]}}", "without a slash"},
	        {"{authority: {url: http://a/x, ca: /c}}, {authority: {url: http://a/y, ca: /c}}", "once"},
	        {"{authority: {url: http://a}}", "'ca' is missing"},
	        {"{chain: {rpc: http://a, id: 1}}, {chain: {rpc: http://b, id: 1}}", "once"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char yaml[400];

		(void)snprintf(yaml, sizeof(yaml), "ledger: {anchors: [%s]}\n", bad[i].anchor);
		if (load(yaml) != -1)
			fail_msg("taken: %s", yaml);
		if (strncmp(err.msg, "config.yaml:1:", 14) != 0 || !strstr(err.msg, bad[i].said))
			fail_msg("%s -> %s", yaml, err.msg);
	}
}

static void fabric_is_a_time_or_no(void **state)
{
	(void)state;
	assert_int_equal(load("name: a\n"), 0);
	assert_int_equal(config.fabric_ns, UINT64_C(60) * 1000000000);
	assert_int_equal(load("ledger: {fabric: {every: 5s}}\n"), 0);
	assert_int_equal(config.fabric_ns, UINT64_C(5) * 1000000000);
	assert_int_equal(load("ledger: {fabric: no}\n"), 0);
	assert_int_equal(config.fabric_ns, 0);
	assert_int_equal(load("ledger: {fabric: yes}\n"), -1);
	assert_non_null(strstr(err.msg, "no, or a map such as {every: 60s}"));
	assert_int_equal(load("ledger: {fabric: {every: 100ms}}\n"), -1);
	assert_non_null(strstr(err.msg, "a time from 1s to 1d"));
	assert_int_equal(load("ledger: {fabric: {evry: 5s}}\n"), -1);
}

static void mirror_is_a_size_or_yes_or_no(void **state)
{
	(void)state;
	assert_int_equal(load("name: a\n"), 0);
	assert_true(config.mirror_bytes == 1 << 30 && !config.mirror_said);
	assert_int_equal(load("ledger: {fabric: {mirror: yes}}\n"), 0);
	assert_true(config.mirror_bytes == 1 << 30 && config.mirror_said);
	assert_int_equal(load("ledger: {fabric: {every: 5s, mirror: 20MiB}}\n"), 0);
	assert_true(config.mirror_bytes == 20 << 20 && config.mirror_said);
	assert_int_equal(config.fabric_ns, UINT64_C(5) * 1000000000);
	assert_int_equal(load("ledger: {fabric: {mirror: no}}\n"), 0);
	assert_true(config.mirror_bytes == 0 && !config.mirror_said && config.fabric_ns);
	assert_int_equal(load("ledger: {fabric: {mirror: 10}}\n"), -1);
	assert_non_null(strstr(err.msg, "yes, no, or a size from 1MiB to 16TiB"));
	assert_int_equal(load("ledger: {fabric: {mirror: maybe}}\n"), -1);
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
	        cmocka_unit_test(places_to_listen_are_read),
	        cmocka_unit_test(unknown_key_is_told_with_its_line_and_a_guess),
	        cmocka_unit_test(wrong_value_is_told_with_what_is_expected),
	        cmocka_unit_test(where_others_reach_it_is_read),
	        cmocka_unit_test(links_and_packing_are_read),
	        cmocka_unit_test(anchors_are_read),
	        cmocka_unit_test(wrong_anchor_is_told_with_its_place),
	        cmocka_unit_test(fabric_is_a_time_or_no),
	        cmocka_unit_test(mirror_is_a_size_or_yes_or_no),
	        cmocka_unit_test(units_are_exact),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	free(mem);
	return rc;
}
