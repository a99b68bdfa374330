/* SPDX-License-Identifier: Apache-2.0 */
/* api_result - the outputs of one row, against a walk that keeps everything in arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "engine/api_result.h"
#include "engine/results.h"

#define ROWS 40u
#define OUTS (ROWS * 4u)

struct model {
	Wire__Results r;
	uint32_t outputs[ROWS];
	uint64_t bytes[OUTS];
	protobuf_c_boolean truncated[OUTS];
	uint8_t sha[OUTS * 32];
	/* by row and place */
	uint64_t want_at[ROWS][4], want_sha[ROWS][4];
};

static void model_fill(struct model *m, struct prng *p)
{
	uint64_t at = 0, hashed = 0, n = 0;

	wire__results__init(&m->r);
	for (uint32_t i = 0; i < ROWS; i++) {
		m->outputs[i] = (uint32_t)prng_below(p, 5);
		for (uint32_t k = 0; k < m->outputs[i]; k++, n++) {
			m->bytes[n] = prng_chance(p, 1, 3) ? 0 : prng_below(p, 2 * OUTPUT_SMALL_MAX);
			m->truncated[n] = prng_chance(p, 1, 4);
			m->want_at[i][k] = at;
			m->want_sha[i][k] = hashed;
			if (m->bytes[n])
				memset(m->sha + 32 * hashed, (int)(hashed & 0xff), 32), hashed++;
			if (m->bytes[n] <= OUTPUT_SMALL_MAX)
				at += m->bytes[n];
		}
	}
	m->r.count = ROWS;
	m->r.n_outputs = ROWS;
	m->r.outputs = m->outputs;
	m->r.n_output_bytes = n;
	m->r.output_bytes = m->bytes;
	m->r.n_output_truncated = n;
	m->r.output_truncated = m->truncated;
	m->r.output_sha256 = (ProtobufCBinaryData){.len = 32 * hashed, .data = m->sha};
}

static void every_output_is_found_where_it_lies(void **state)
{
	static struct model m;
	struct prng p;

	(void)state;
	prng_init(&p, 5);
	for (int round = 0; round < 50; round++) {
		struct result_walk w = {0};
		uint64_t n = 0;

		model_fill(&m, &p);
		for (uint32_t i = 0; i < ROWS; i++) {
			result_walk_to(&m.r, &w, i);
			assert_int_equal(result_outputs(&m.r, i), m.outputs[i]);
			for (uint32_t k = 0; k < m.outputs[i]; k++, n++) {
				struct result_output a, b;

				result_output_at(&m.r, i, k, &a);
				result_walk_output(&m.r, &w, k, &b);
				assert_int_equal(a.bytes, m.bytes[n]);
				assert_int_equal(a.truncated, m.truncated[n]);
				assert_int_equal(a.small, m.bytes[n] <= OUTPUT_SMALL_MAX);
				assert_int_equal(a.at, m.want_at[i][k]);
				assert_ptr_equal(a.sha256, m.bytes[n] ? m.sha + 32 * m.want_sha[i][k] : NULL);
				assert_int_equal(a.at, b.at);
				assert_ptr_equal(a.sha256, b.sha256);
			}
		}
	}
}

static void columns_of_one_value_stand_for_all(void **state)
{
	uint32_t one = 1;
	uint64_t bytes = 10;
	uint8_t sha[96] = {0};
	Wire__Results r = WIRE__RESULTS__INIT;
	struct result_output o;

	(void)state;
	r.count = 3;
	r.n_outputs = 1;
	r.outputs = &one;
	r.n_output_bytes = 1;
	r.output_bytes = &bytes;
	r.output_sha256 = (ProtobufCBinaryData){.len = 96, .data = sha};
	result_output_at(&r, 2, 0, &o);
	assert_int_equal(o.bytes, 10);
	assert_int_equal(o.at, 20);
	assert_ptr_equal(o.sha256, sha + 64);
	result_output_at(&r, 2, 1, &o); /* past the last: empty */
	assert_int_equal(o.bytes, 0);
	assert_null(o.sha256);
}

static void plain_results_have_no_outputs(void **state)
{
	Wire__Results r = WIRE__RESULTS__INIT;
	struct result_walk w = {0};
	struct result_output o;

	(void)state;
	r.count = 10000000;
	result_walk_to(&r, &w, 9999999);
	result_walk_output(&r, &w, 0, &o);
	assert_int_equal(o.bytes, 0);
	assert_true(o.small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_output_is_found_where_it_lies),
	        cmocka_unit_test(columns_of_one_value_stand_for_all),
	        cmocka_unit_test(plain_results_have_no_outputs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
