/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about envelopes: what is signed, how they are read and written. Vectors: secure-systems-lab/dsse v1.0.2; our golden one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha2.h"
#include "core/dsse.h"
#include "core/jsontext.h"
#include "io/ed25519.h"
#include "io/growing.h"

#define HELLO "http://example.com/HelloWorld"

static struct growing g;

static const char *parsed(const char *text, struct dsse *out)
{
	static struct err e;

	growing_clear(&g);
	return dsse_parse(&g.arena, text, strlen(text), out, &e) == 0 ? NULL : e.msg;
}

static void what_is_signed_is_the_specifications(void **state)
{
	static const char want[] = "DSSEv1 29 http://example.com/HelloWorld 11 hello world";
	uint8_t out[256];

	(void)state;
	assert_int_equal(dsse_pae_size(HELLO, strlen(HELLO), 11), strlen(want));
	assert_int_equal(dsse_pae(HELLO, strlen(HELLO), "hello world", 11, out), strlen(want));
	assert_memory_equal(out, want, strlen(want));
	assert_int_equal(dsse_pae("", 0, "", 0, out), 12);
	assert_memory_equal(out, "DSSEv1 0  0 ", 12);
}

static char *golden(size_t *out_n)
{
	FILE *f = fopen(OSIER_SOURCE_ROOT "/test/data/ledger/golden_dsse_envelope.json", "rb");
	char *text = malloc(8192);

	assert_non_null(f);
	*out_n = fread(text, 1, 8192, f);
	(void)fclose(f);
	return text;
}

static void hex_is(const uint8_t *p, size_t n, const char *want)
{
	char hex[129];

	for (size_t i = 0; i < n; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", p[i]);
	assert_string_equal(hex, want);
}

static void sha_is(const void *p, size_t n, const char *want)
{
	struct sha2 s;
	uint8_t out[32];

	sha2_init(&s);
	sha2_add(&s, p, n);
	sha2_end(&s, out);
	hex_is(out, 32, want);
}

/* RFC 8032, test 1. */
static const uint8_t seed[32] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92,
        0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae,
        0x7f, 0x60};

static void golden_envelope_verifies_bit_by_bit(void **state)
{
	struct note_verifier v = ed25519_verifier();
	enum note_verdict verdict;
	uint8_t key[32], pae[2048], sig[64];
	struct dsse d;
	size_t n;
	char *text = golden(&n);

	(void)state;
	growing_clear(&g);
	assert_int_equal(dsse_parse(&g.arena, text, n, &d, NULL), 0);
	assert_string_equal(d.type, DSSE_IN_TOTO);
	assert_int_equal(d.payload_n, 560);
	sha_is(d.payload, d.payload_n, "163a31766ea0f2590bb7da0a5f7af6b92d3f79bd61791965d2e3818741aee85e");
	n = dsse_pae(d.type, d.type_n, d.payload, d.payload_n, pae);
	sha_is(pae, n, "ae37d4d707d686a0c71d7ac286f7a9ea8e01e14986f7705882fd3b240829a968");
	free(text);
	ed25519_public(seed, key);
	ed25519_sign(seed, pae, n, sig);
	assert_int_equal(d.sig[0].sig_n, 64);
	assert_memory_equal(sig, d.sig[0].sig, 64);
	assert_int_equal(dsse_verify(&g.arena, &d, key, &v, &verdict, NULL), 0);
	assert_int_equal(verdict, NOTE_SIGNED);
	for (size_t bit = 0; bit < 8 * (d.payload_n + 64 + d.type_n); bit += 7) {
		uint8_t *at = bit / 8 < d.payload_n ? (uint8_t *)(uintptr_t)d.payload + bit / 8
		              : bit / 8 < d.payload_n + 64
		                      ? (uint8_t *)(uintptr_t)d.sig[0].sig + bit / 8 - d.payload_n
		                      : (uint8_t *)(uintptr_t)d.type + bit / 8 - d.payload_n - 64;

		*at ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(dsse_verify(&g.arena, &d, key, &v, &verdict, NULL), 0);
		assert_int_equal(verdict, NOTE_FORGED);
		*at ^= (uint8_t)(1u << bit % 8);
	}
	key[3] ^= 1;
	assert_int_equal(dsse_verify(&g.arena, &d, key, &v, &verdict, NULL), 0);
	assert_int_equal(verdict, NOTE_FORGED);
}

static void envelope_written_is_read_as_it_was(void **state)
{
	struct dsse d = {.type = "a \"type\"\n",
	                    .type_n = 9,
	                    .payload = (const uint8_t *)"\0\xff\x7f",
	                    .payload_n = 3,
	                    .sigs = 2},
	            back;
	char text[512];
	size_t n;

	(void)state;
	d.sig[0] = (struct dsse_sig){"k\xc3\xa9y\\", (const uint8_t *)"sig", 3};
	d.sig[1] = (struct dsse_sig){"", (const uint8_t *)"", 0};
	n = dsse_print(&d, NULL, 0);
	assert_true(n < sizeof(text));
	assert_int_equal(dsse_print(&d, text, sizeof(text)), n);
	text[n] = '\0';
	assert_string_equal(text,
	        "{\"payload\":\"AP9/\",\"payloadType\":\"a \\\"type\\\"\\u000a\",\"signatures\":["
	        "{\"keyid\":\"k\xc3\xa9y\\\\\",\"sig\":\"c2ln\"},{\"sig\":\"\"}]}\n");
	assert_null(parsed(text, &back));
	assert_int_equal(back.type_n, 9);
	assert_string_equal(back.type, d.type);
	assert_memory_equal(back.payload, d.payload, 3);
	assert_int_equal(back.sigs, 2);
	assert_string_equal(back.sig[0].keyid, d.sig[0].keyid);
	assert_int_equal(back.sig[1].sig_n, 0);
}

static void both_alphabets_and_unknown_members_are_read(void **state)
{
	struct dsse d;

	(void)state;
	assert_null(parsed(" {\"x\":{\"y\":[1,-0.5e+7,true,null,{}]},\"payload\":\"-_8\",\"payloadType\":"
	                   "\"\\u0074\\ud83d\\ude00\","
	                   "\"signatures\":[{\"z\":[[]],\"sig\":\"+/8=\"}]}\n",
	        &d));
	assert_int_equal(d.payload_n, 2);
	assert_memory_equal(d.payload, "\xfb\xff", 2);
	assert_memory_equal(d.sig[0].sig, "\xfb\xff", 2);
	assert_string_equal(d.type, "t\xf0\x9f\x98\x80");
	assert_string_equal(d.sig[0].keyid, "");
}

static void what_is_no_envelope_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} all[] = {
	        {"", "object is missing"},
	        {"[]", "object is missing"},
	        {"{}", "has no 'payload'"},
	        {"{\"payload\":\"\"}", "has no 'payloadType'"},
	        {"{\"payload\":\"\",\"payloadType\":\"\"}", "has no 'signatures'"},
	        {"{\"payload\":\"\",\"payloadType\":\"\",\"signatures\":[]}", "nobody has signed"},
	        {"{\"payload\":\"\",\"payloadType\":\"\",\"signatures\":[{}]}", "has no 'sig'"},
	        {"{\"payload\":\"\",\"payloadType\":\"\",\"signatures\":{}}", "array is missing"},
	        {"{\"payload\":\"\",\"payload\":\"\"}", "'payload' twice"},
	        {"{\"payloadType\":\"\",\"payloadType\":\"\"}", "'payloadType' twice"},
	        {"{\"signatures\":[],\"signatures\":[]}", "'signatures' twice"},
	        {"{\"signatures\":[{\"sig\":\"\",\"sig\":\"\"}]}", "'sig' twice"},
	        {"{\"payload\":1}", "string is missing"},
	        {"{\"payload\":\"a\"}", "not base64"},
	        {"{\"payload\":\"+_8=\"}", "not base64"},
	        {"{\"payload\":\"AP9/ \"}", "not base64"},
	        {"{\"payload\":\"AB==\"}", "not base64"},
	        {"{\"payload\":\"\",\"payloadType\":\"\",\"signatures\":[{\"sig\":\"\"}]} x",
	                "follows its end"},
	        {"{\"payload\":\"\",}", "string is missing"},
	        {"{\"a\":[1,]}", "value is missing"},
	        {"{\"a\":[1 2]}", "comma is missing"},
	        {"{\"a\" 1}", "colon is missing"},
	        {"{\"a\":01}", "value is missing"},
	        {"{\"a\":1.}", "value is missing"},
	        {"{\"a\":nul}", "value is missing"},
	        {"{\"a\":", "ends too early"},
	        {"{\"a\":\"\t\"}", "may not be in one"},
	        {"{\"a\":\"\xc0\x80\"}", "may not be in one"},
	        {"{\"a\":\"\\x\"}", "escape that there is not"},
	        {"{\"a\":\"\\ud800\"}", "escape that there is not"},
	        {"{\"a\":\"\\u12\"}", "escape that there is not"},
	        {"{\"a\":\"", "does not end"},
	};
	struct dsse d;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		const char *why = parsed(all[i].text, &d);

		if (!why || !strstr(why, all[i].why))
			fail_msg("%s: %s, not %s", all[i].text, why ? why : "accepted", all[i].why);
	}
}

static void depth_has_an_end(void **state)
{
	char text[600] = "{\"a\":";
	struct dsse d;

	(void)state;
	memset(text + 5, '[', 500);
	assert_non_null(strstr(parsed(text, &d), "too deep"));
}

static void too_many_signatures_are_refused(void **state)
{
	char text[4096] = "{\"signatures\":[";
	struct dsse d;

	(void)state;
	for (unsigned i = 0; i <= DSSE_SIGS_MAX; i++)
		memcpy(text + strlen(text), "{\"sig\":\"\"},", 12);
	assert_non_null(strstr(parsed(text, &d), "more than 64 signatures"));
}

static void times_are_those_of_the_calendar(void **state)
{
	static const struct {
		uint64_t s;
		const char *text;
	} all[] = {{0, "\"1970-01-01T00:00:00Z\""}, {951782399, "\"2000-02-28T23:59:59Z\""},
	        {951782400, "\"2000-02-29T00:00:00Z\""}, {1700000000, "\"2023-11-14T22:13:20Z\""},
	        {4107542399, "\"2100-02-28T23:59:59Z\""}, {4107542400, "\"2100-03-01T00:00:00Z\""},
	        {1735689599, "\"2024-12-31T23:59:59Z\""}};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct jsonw w = {.p = out, .max = sizeof(out)};

		jw_time(&w, all[i].s * 1000000000u + 999999999);
		out[w.n] = '\0';
		assert_string_equal(out, all[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_signed_is_the_specifications),
	        cmocka_unit_test(golden_envelope_verifies_bit_by_bit),
	        cmocka_unit_test(envelope_written_is_read_as_it_was),
	        cmocka_unit_test(both_alphabets_and_unknown_members_are_read),
	        cmocka_unit_test(what_is_no_envelope_is_refused),
	        cmocka_unit_test(depth_has_an_end),
	        cmocka_unit_test(too_many_signatures_are_refused),
	        cmocka_unit_test(times_are_those_of_the_calendar),
	};
	int rc;

	growing_init(&g, 64u << 10, 1u << 20);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	growing_release(&g);
	return rc;
}
