/* SPDX-License-Identifier: Apache-2.0 */
/* test_ticket - what a ticket allows, and what is no ticket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/ticket.h"

static void make(struct ticket *t)
{
	memset(t, 0, sizeof(*t));
	memcpy(t->hub, "hub-1", 6);
	memcpy(t->node, "press-4", 8);
	t->expires_s = 1000;
	t->n = 2;
	memset(t->blob[0], 7, 32);
	memset(t->blob[1], 9, 32);
}

static void ticket_is_read_as_it_was_written(void **state)
{
	uint8_t bytes[TICKET_BYTES_MAX] = {0};
	struct ticket t, got;
	size_t n, n_signed;
	struct err e;

	(void)state;
	make(&t);
	n = ticket_write(&t, bytes);
	assert_int_equal(ticket_read(bytes, n + TICKET_SIG, &got, &n_signed, &e), 0);
	assert_int_equal(n_signed, n);
	assert_memory_equal(&t, &got, sizeof(t));
}

static void largest_ticket_fits(void **state)
{
	uint8_t bytes[TICKET_BYTES_MAX];
	struct ticket t, got;
	size_t n_signed;
	struct err e;

	(void)state;
	make(&t);
	memset(t.hub, 'h', FRAME_NAME_MAX);
	memset(t.node, 'n', FRAME_NAME_MAX);
	t.n = TICKET_BLOBS_MAX;
	assert_int_equal(ticket_write(&t, bytes) + TICKET_SIG, TICKET_BYTES_MAX);
	assert_int_equal(ticket_read(bytes, TICKET_BYTES_MAX, &got, &n_signed, &e), 0);
}

static void it_allows_what_it_says_and_nothing_else(void **state)
{
	uint8_t other[32] = {0};
	struct ticket t;
	struct err e;

	(void)state;
	make(&t);
	assert_int_equal(ticket_allows(&t, "hub-1", "press-4", t.blob[0], 999, &e), 0);
	assert_int_equal(ticket_allows(&t, "hub-1", "press-4", t.blob[1], 0, &e), 0);
	assert_true(ticket_allows(&t, "hub-1", "press-4", t.blob[0], 1000, &e) < 0);
	assert_true(ticket_allows(&t, "hub-2", "press-4", t.blob[0], 999, &e) < 0);
	assert_true(ticket_allows(&t, "hub-1", "press-5", t.blob[0], 999, &e) < 0);
	assert_true(ticket_allows(&t, "hub-1", "press-4", other, 999, &e) < 0);
	assert_int_equal(e.code, ERR_DENIED);
}

static void what_is_cut_or_changed_is_no_ticket(void **state)
{
	uint8_t bytes[TICKET_BYTES_MAX + 8] = {0};
	struct ticket t, got;
	size_t n, n_signed;
	struct err e;

	(void)state;
	make(&t);
	n = ticket_write(&t, bytes) + TICKET_SIG;
	for (size_t k = 0; k < n; k++)
		assert_true(ticket_read(bytes, k, &got, &n_signed, &e) < 0);
	assert_true(ticket_read(bytes, n + 1, &got, &n_signed, &e) < 0);
	bytes[0] = 'O';
	assert_true(ticket_read(bytes, n, &got, &n_signed, &e) < 0);
	bytes[0] = 'o';
	bytes[23] = 0; /* a name of no length */
	assert_true(ticket_read(bytes, n, &got, &n_signed, &e) < 0);
	bytes[23] = 64; /* longer than a name is */
	assert_true(ticket_read(bytes, n, &got, &n_signed, &e) < 0);
	bytes[23] = 5;
	bytes[24] = 0; /* ends before it ends */
	assert_true(ticket_read(bytes, n, &got, &n_signed, &e) < 0);
	bytes[24] = 'h';
	assert_int_equal(ticket_read(bytes, n, &got, &n_signed, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ticket_is_read_as_it_was_written),
	        cmocka_unit_test(largest_ticket_fits),
	        cmocka_unit_test(it_allows_what_it_says_and_nothing_else),
	        cmocka_unit_test(what_is_cut_or_changed_is_no_ticket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
