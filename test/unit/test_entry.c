/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the bytes of entries: what was encoded is decoded, hostile bytes are refused cheaply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/prng.h"
#include "wire/entry.h"

static _Alignas(16) uint8_t room[4 << 20];
static uint8_t bytes[1 << 20];

static int decode(const uint8_t *p, size_t n, size_t room_bytes, const Wire__Entry **out, struct err *e)
{
	struct arena a;

	arena_init(&a, room, room_bytes);
	return entry_decode(&a, p, n, out, e);
}

static size_t encode_results(Wire__Results *r)
{
	Wire__Entry en = WIRE__ENTRY__INIT;

	en.time_ns = 5;
	en.body_case = WIRE__ENTRY__BODY_RESULTS;
	en.results = r;
	assert_true(entry_size(&en) <= sizeof(bytes));
	return entry_encode(&en, bytes);
}

static void what_was_encoded_is_decoded(void **state)
{
	Wire__Results r = WIRE__RESULTS__INIT;
	uint64_t wall[3] = {7, 8, 900000};
	Wire__Outcome one = WIRE__OUTCOME__FAILED;
	const Wire__Entry *en;
	struct err e;
	size_t n;

	(void)state;
	r.lease = 9;
	r.first = 4;
	r.count = 3;
	r.n_wall_us = 3;
	r.wall_us = wall;
	r.n_outcome = 1;
	r.outcome = &one;
	n = encode_results(&r);
	assert_int_equal(decode(bytes, n, sizeof(room), &en, &e), 0);
	assert_string_equal(entry_kind_name(en), "results");
	assert_int_equal(en->results->lease, 9);
	assert_int_equal(RESULT_COLUMN(en->results, wall_us, 2), 900000);
	assert_int_equal(RESULT_COLUMN(en->results, outcome, 2), WIRE__OUTCOME__FAILED);
	assert_int_equal(RESULT_COLUMN(en->results, code, 2), 0);
}

/* Decode must fail with this code. */
static void refused(size_t n, enum err_code code)
{
	const Wire__Entry *en = NULL;
	struct err e = {0};

	assert_int_equal(decode(bytes, n, sizeof(room), &en, &e), -1);
	assert_int_equal(e.code, code);
	assert_true(e.msg[0] != '\0');
	assert_null(en);
}

static void results_with_columns_of_the_wrong_length_are_refused(void **state)
{
	uint64_t two[2] = {1, 2};
	uint32_t outs = 2;
	uint8_t sha[64] = {1};
	Wire__Results ok = WIRE__RESULTS__INIT, r;

	(void)state;
	ok.lease = 1;
	ok.count = 3;
	r = ok;
	r.n_wall_us = 2;
	r.wall_us = two;
	refused(encode_results(&r), ERR_CORRUPT);
	r = ok;
	r.count = 0;
	refused(encode_results(&r), ERR_CORRUPT);
	r = ok;
	r.n_outputs = 1;
	r.outputs = &outs;
	r.n_output_bytes = 2;
	r.output_bytes = two;
	refused(encode_results(&r), ERR_CORRUPT);
	r = ok;
	r.count = 1;
	r.n_outputs = 1;
	r.outputs = &outs;
	r.n_output_bytes = 2;
	r.output_bytes = two;
	r.output_sha256.data = sha;
	r.output_sha256.len = 32;
	refused(encode_results(&r), ERR_CORRUPT);
	r.output_sha256.len = 64;
	{
		const Wire__Entry *en;

		assert_int_equal(decode(bytes, encode_results(&r), sizeof(room), &en, NULL), 0);
	}
}

static void outcomes_that_no_attempt_has_are_refused(void **state)
{
	Wire__Outcome skipped = WIRE__OUTCOME__SKIPPED, wild = (Wire__Outcome)99;
	Wire__Results r = WIRE__RESULTS__INIT;

	(void)state;
	r.count = 1;
	r.n_outcome = 1;
	r.outcome = &skipped;
	refused(encode_results(&r), ERR_CORRUPT);
	r.outcome = &wild;
	refused(encode_results(&r), ERR_VERSION);
}

static void kinds_and_fields_of_newer_versions_are_told(void **state)
{
	(void)state;
	memcpy(bytes, "\x08\x01\xfa\x06\x00", 5); /* time 1, field 111 */
	refused(5, ERR_VERSION);
	memcpy(bytes, "\x12\x04\xf8\x06\x01\x00", 6); /* boot { field 111 } */
	refused(5, ERR_CORRUPT);                      /* cut */
	memcpy(bytes, "\x12\x03\xf8\x06\x01", 5);
	refused(5, ERR_VERSION);
}

static void malformed_bytes_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
	        {"", 0}, {"\x08", 1}, {"\x08\x01", 2}, /* no body */
	        {"\x08\x01\x08\x02\x12\x00", 6},       /* time twice */
	        {"\x12\x00\x12\x00", 4},               /* boot twice */
	        {"\x12\x00\x32\x00", 4},               /* two bodies */
	        {"\x0d\x00\x00\x00\x00", 5},           /* time as fixed32 */
	        {"\x13\x14", 2},                       /* group */
	        {"\x12\x7f\x00", 3},                   /* longer than there is */
	        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
	        {"\x12\x04\x12\x02\x61\x00", 6},                                           /* version "a\0" */
	        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, {"\x00\x00", 2}, /* field 0 */
	        {"\x2a\x00", 2}, /* job_submitted without a spec */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		memcpy(bytes, bad[i].bytes, bad[i].n);
		refused(bad[i].n, ERR_CORRUPT);
	}
}

static void small_arena_is_told_as_full(void **state)
{
	const Wire__Entry *en;
	uint64_t wall[1000] = {0};
	Wire__Results r = WIRE__RESULTS__INIT;
	struct err e;

	(void)state;
	r.count = 1000;
	r.n_wall_us = 1000;
	r.wall_us = wall;
	assert_int_equal(decode(bytes, encode_results(&r), 4096, &en, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
}

static void too_many_values_are_refused_before_memory_is_taken(void **state)
{
	static uint8_t big[2 * (ENTRY_MEMBERS_MAX + 1) + 16];
	struct arena a;
	const Wire__Entry *en;
	struct err e;
	size_t n = 2 * (ENTRY_MEMBERS_MAX + 1), at = 0;

	(void)state;
	big[at++] = 0x1a; /* node_set */
	for (size_t v = n; at < 5; v >>= 7, at++)
		big[at] = (uint8_t)((v & 0x7f) | (at < 4 ? 0x80 : 0));
	for (size_t i = 0; i < n; i += 2)
		memcpy(big + at + i, "\x1a\x00", 2); /* capacity {} */
	arena_init(&a, room, sizeof(room));
	assert_int_equal(entry_decode(&a, big, at + n, &en, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
	assert_int_equal(a.used, 0);
}

static void any_damage_is_decoded_or_refused_but_never_crashes(void **state)
{
	Wire__Entry en = WIRE__ENTRY__INIT;
	Wire__JobSubmitted j = WIRE__JOB_SUBMITTED__INIT;
	Wire__JobSpec spec = WIRE__JOB_SPEC__INIT;
	Wire__Step step = WIRE__STEP__INIT, *steps = &step;
	Wire__Need need = WIRE__NEED__INIT, *needs = &need;
	Wire__Variant variant = WIRE__VARIANT__INIT, *variants = &variant;
	struct prng p;
	size_t n;
	int good = 0;

	(void)state;
	need.name = "cpu";
	need.amount = 1000;
	variant.n_needs = 1;
	variant.needs = &needs;
	step.name = "a";
	step.n_variants = 1;
	step.variants = &variants;
	spec.name = "job";
	spec.n_steps = 1;
	spec.steps = &steps;
	j.job = 1;
	j.spec = &spec;
	en.body_case = WIRE__ENTRY__BODY_JOB_SUBMITTED;
	en.job_submitted = &j;
	n = entry_encode(&en, bytes);
	prng_init(&p, 1);
	for (int i = 0; i < 20000; i++) {
		uint8_t copy[256];
		const Wire__Entry *out;
		size_t m = prng_chance(&p, 1, 4) ? prng_below(&p, n + 1) : n;

		assert_true(n <= sizeof(copy));
		memcpy(copy, bytes, n);
		for (uint64_t k = prng_below(&p, 3); k > 0; k--)
			copy[prng_below(&p, n)] = (uint8_t)prng_next(&p);
		good += decode(copy, m, sizeof(room), &out, NULL) == 0;
	}
	assert_true(good > 1000 && good < 19000);
}

static void every_outcome_and_reason_has_a_name(void **state)
{
	(void)state;
	for (int i = WIRE__OUTCOME__SUCCEEDED; i <= WIRE__OUTCOME__SKIPPED; i++)
		assert_string_not_equal(outcome_name((Wire__Outcome)i), "unknown");
	assert_string_equal(outcome_name(WIRE__OUTCOME__SKIPPED), "skipped");
	assert_string_equal(outcome_name((Wire__Outcome)13), "unknown");
	for (int i = WIRE__STOP_REASON__DONE; i <= WIRE__STOP_REASON__GANG; i++)
		assert_string_not_equal(stop_reason_name((Wire__StopReason)i), "unknown");
	assert_string_equal(stop_reason_name(WIRE__STOP_REASON__DRAINING), "draining");
	assert_string_equal(stop_reason_name(WIRE__STOP_REASON__SUPERSEDED), "superseded");
	assert_string_equal(stop_reason_name(WIRE__STOP_REASON__GANG), "gang_ended");
	assert_string_equal(stop_reason_name((Wire__StopReason)12), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_encoded_is_decoded),
	        cmocka_unit_test(results_with_columns_of_the_wrong_length_are_refused),
	        cmocka_unit_test(outcomes_that_no_attempt_has_are_refused),
	        cmocka_unit_test(kinds_and_fields_of_newer_versions_are_told),
	        cmocka_unit_test(malformed_bytes_are_refused),
	        cmocka_unit_test(small_arena_is_told_as_full),
	        cmocka_unit_test(too_many_values_are_refused_before_memory_is_taken),
	        cmocka_unit_test(any_damage_is_decoded_or_refused_but_never_crashes),
	        cmocka_unit_test(every_outcome_and_reason_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
