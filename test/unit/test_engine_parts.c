/* SPDX-License-Identifier: Apache-2.0 */
/* engine_parts - the clock, what waits for the disk, and the columns of results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/held.h"
#include "engine/results.h"
#include "io/clock.h"
#include "wire/entry.h"

#define S UINT64_C(1000000000)

static void clock_follows_the_wall_forward(void **state)
{
	struct clock c = {.now_ns = 1000 * S, .boot_ns = 5 * S};

	(void)state;
	assert_int_equal(clock_step(&c, 6 * S, 1001 * S), 1001 * S);
	assert_int_equal(clock_step(&c, 7 * S, 5000 * S), 5000 * S);
}

static void clock_never_goes_back_and_timers_go_on(void **state)
{
	struct clock c = {.now_ns = 5000 * S, .boot_ns = 7 * S};
	uint64_t before = 5000 * S, now;

	(void)state;
	/* The wall jumps back an hour: ours goes on, a sixteenth slower. */
	now = clock_step(&c, 23 * S, 1400 * S);
	assert_int_equal(now, before + 15 * S);
	/* It meets the wall again and does not fall behind it. */
	now = clock_step(&c, 24 * S, 5015 * S + S / 2);
	assert_true(now >= 5015 * S + S / 2);
	assert_int_equal(clock_step(&c, 24 * S, 0), now);
	assert_int_equal(clock_step(&c, 20 * S, 0), now); /* even if boot time stood still */
}

static void held_items_leave_in_order_and_only_when_durable(void **state)
{
	struct held h = {0};
	struct held_item it = {.kind = HELD_ACK};

	(void)state;
	for (uint64_t i = 1; i <= 1000; i++) {
		it.seq = i / 3;
		it.u.ack.cursor = i;
		held_push(&h, &it);
		if (i % 7 == 0 && held_pop(&h, 0, &it))
			assert_int_equal(it.seq, 0);
	}
	assert_false(held_pop(&h, 0, &it));
	for (uint64_t last = 0; held_pop(&h, 100, &it); last = it.u.ack.cursor) {
		assert_true(it.seq <= 100);
		assert_true(it.u.ack.cursor > last);
	}
	assert_int_equal(h.n, 1000 - 302);
	held_release(&h);
	assert_int_equal(h.n, 0);
}

static void plain_results_are_only_a_count(void **state)
{
	struct results *r = results_new();
	Wire__Results m;

	(void)state;
	results_add_plain(r, 1000000);
	results_message(r, &m);
	assert_int_equal(m.count, 1000000);
	assert_int_equal(m.n_outcome + m.n_wall_us + m.n_outputs + m.n_output_bytes + m.output_sha256.len, 0);
	assert_true(wire__results__get_packed_size(&m) < 16);
	results_free(r);
}

/* A replica that printed nothing; the sanitizer looks at it. */
static void tasks_that_wrote_nothing_are_told_in_slices(void **state)
{
	static const Wire__Outcome outcome[] = {WIRE__OUTCOME__FAILED, WIRE__OUTCOME__SUCCEEDED};
	struct results *r = results_new();
	struct results_slice s = {0};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct result_row row = {.outcome = outcome[i]};

		results_row(r, &row);
		results_output(r, 0, false, NULL, NULL);
		results_row_end(r);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_true(results_slice_next(r, &s));
		assert_int_equal(s.message.count, 1);
		assert_int_equal(RESULT_COLUMN(&s.message, outcome, 0), outcome[i]);
		assert_null(s.small);
		assert_int_equal(s.small_bytes, 0);
	}
	assert_false(results_slice_next(r, &s));
	results_free(r);
}

static void columns_shrink_to_what_differs(void **state)
{
	struct results *r = results_new();
	struct result_row row = {.outcome = WIRE__OUTCOME__FAILED, .code = 3, .wall_us = 5};
	uint8_t sha[32] = {1};
	struct err e;
	Wire__Results m;

	(void)state;
	results_add_plain(r, 2);
	for (int i = 0; i < 40; i++) {
		row.wall_us = (uint64_t)i;
		results_row(r, &row);
		results_output(r, 3, false, sha, (const uint8_t *)"abc");
		results_output(r, 0, false, NULL, NULL);
		results_row_end(r);
	}
	results_note(r, "first");
	results_note(r, "second");
	results_message(r, &m);
	assert_int_equal(results_check(&m, &e), 0);
	assert_int_equal(m.count, 42);
	assert_int_equal(m.n_outcome, 42);
	assert_int_equal(RESULT_COLUMN(&m, outcome, 1), WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(RESULT_COLUMN(&m, outcome, 2), WIRE__OUTCOME__FAILED);
	assert_int_equal(RESULT_COLUMN(&m, wall_us, 41), 39);
	assert_int_equal(m.n_user_us, 0);
	assert_int_equal(RESULT_COLUMN(&m, outputs, 0), 0);
	assert_int_equal(RESULT_COLUMN(&m, outputs, 2), 1); /* a trailing empty one is not counted */
	assert_int_equal(m.n_output_bytes, 40);
	assert_int_equal(m.output_sha256.len, 40 * 32);
	assert_int_equal(r->small_bytes, 120);
	assert_string_equal(m.note, "first");
	results_clear(r);
	row = (struct result_row){.outcome = WIRE__OUTCOME__SUCCEEDED, .wall_us = 7};
	results_row(r, &row);
	results_row_end(r);
	results_message(r, &m);
	assert_int_equal(m.n_wall_us, 1);
	assert_int_equal(m.n_outcome, 0);
	assert_string_equal(m.note, "");
	results_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(clock_follows_the_wall_forward),
	        cmocka_unit_test(clock_never_goes_back_and_timers_go_on),
	        cmocka_unit_test(held_items_leave_in_order_and_only_when_durable),
	        cmocka_unit_test(plain_results_are_only_a_count),
	        cmocka_unit_test(tasks_that_wrote_nothing_are_told_in_slices),
	        cmocka_unit_test(columns_shrink_to_what_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
