/* SPDX-License-Identifier: Apache-2.0 */
/* test_sources - tables of what earlier steps made: made, cut, read, and refused when they are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sources.h"

#define MEM (8u << 20)

static uint8_t digests[8][32], text[100];
static struct arena a;
static void *mem;

static int setup(void **state)
{
	(void)state;
	mem = malloc(MEM);
	arena_init(&a, mem, MEM);
	for (unsigned i = 0; i < 8; i++)
		memset(digests[i], (int)i + 1, 32);
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(mem);
	return 0;
}

/* A step with `tasks` tasks that take one file each from an earlier step. */
static void step_make(Wire__Step *st, Wire__Input *in, Wire__Input **ins, uint64_t tasks)
{
	wire__step__init(st);
	wire__input__init(in);
	in->from_step = (char *)(uintptr_t) "before";
	in->path = (char *)(uintptr_t) "x";
	*ins = in;
	st->name = (char *)(uintptr_t) "it";
	st->inputs = ins;
	st->n_inputs = 1;
	st->tasks = tasks;
}

/* Four tasks: a small file of 10 bytes, a blob of 99999, the small one again, one of 20 bytes. */
static void four(struct sources_building *b)
{
	uint32_t small, which;

	assert_int_equal(sources_begin(b, 4, false, 64, &a), 0);
	sources_task(b);
	assert_int_equal(sources_add(b, &(struct source_view){text, 10, digests[0]}, &small), 0);
	sources_task(b);
	assert_int_equal(sources_add(b, &(struct source_view){NULL, 99999, digests[1]}, &which), 0);
	sources_task(b);
	assert_int_equal(sources_again(b, small), 0);
	sources_task(b);
	assert_int_equal(sources_add(b, &(struct source_view){text + 10, 20, digests[2]}, &which), 0);
}

static void each_task_finds_its_file(void **state)
{
	Wire__Input in, *ins;
	Wire__Step st;
	struct sources_building b;
	struct source_view v;
	struct err e;

	(void)state;
	four(&b);
	step_make(&st, &in, &ins, 4);
	st.sources = &b.s;
	assert_int_equal(sources_ok(&st, &e), 0);
	sources_at(&b.s, 0, 0, NULL, &v);
	assert_int_equal(v.bytes, 10);
	assert_memory_equal(v.data, text, 10);
	sources_at(&b.s, 1, 0, NULL, &v);
	assert_null(v.data);
	assert_memory_equal(v.sha256, digests[1], 32);
	sources_at(&b.s, 2, 0, NULL, &v);
	assert_memory_equal(v.data, text, 10);
	sources_at(&b.s, 3, 0, NULL, &v);
	assert_int_equal(v.bytes, 20);
	assert_memory_equal(v.data, text + 10, 20);
	assert_int_equal(sources_reduced(&st, 3), 0);
}

static void part_of_a_table_has_what_its_tasks_take(void **state)
{
	Wire__Input in, *ins;
	Wire__Step st;
	struct sources_building b;
	struct source_view v;
	struct err e;

	(void)state;
	four(&b);
	step_make(&st, &in, &ins, 2);
	st.sources = sources_cut(&b.s, 2, 2, &a);
	assert_non_null(st.sources);
	assert_int_equal(sources_ok(&st, &e), 0);
	assert_int_equal(st.sources->n_bytes, 2);
	assert_int_equal(st.sources->data.len, 30);
	sources_at(st.sources, 0, 0, NULL, &v);
	assert_memory_equal(v.data, text, 10);
	sources_at(st.sources, 1, 0, NULL, &v);
	assert_memory_equal(v.data, text + 10, 20);
}

struct blobs_seen {
	unsigned n;
	uint64_t bytes[4];
};

static void see(void *ctx, const uint8_t digest[32], uint64_t bytes)
{
	struct blobs_seen *s = ctx;

	(void)digest;
	s->bytes[s->n++] = bytes;
}

static void pack_is_one_blob_and_is_cut_whole(void **state)
{
	Wire__Input in, *ins;
	Wire__Step st;
	struct sources_building b;
	struct source_view v;
	struct blobs_seen seen = {0};
	uint8_t packed[30];
	struct err e;

	(void)state;
	four(&b);
	memcpy(packed, b.s.data.data, 30);
	b.s.pack = (ProtobufCBinaryData){32, digests[7]};
	b.s.data.len = 0;
	step_make(&st, &in, &ins, 2);
	st.sources = sources_cut(&b.s, 1, 2, &a);
	assert_int_equal(sources_ok(&st, &e), 0);
	sources_blobs(st.sources, see, &seen);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.bytes[0], 30);
	assert_int_equal(seen.bytes[1], 99999);
	sources_at(st.sources, 1, 0, packed, &v);
	assert_memory_equal(v.data, text, 10);
	sources_at(st.sources, 1, 0, NULL, &v);
	assert_null(v.data);
	assert_null(sources_cut(&b.s, 1, 0, &a)->which);
}

static void what_is_no_table_is_refused(void **state)
{
	Wire__Input in, *ins;
	Wire__Step st;
	struct sources_building b;
	struct err e;

	(void)state;
	step_make(&st, &in, &ins, 4);
	four(&b);
	st.sources = &b.s;
	assert_int_equal(sources_ok(&st, &e), 0);
	st.tasks = 5;
	assert_true(sources_ok(&st, &e) < 0);
	st.tasks = 4;
	b.s.which[2] = 3; /* past the table */
	assert_true(sources_ok(&st, &e) < 0);
	b.s.which[2] = 0;
	b.s.count[0] = 2; /* more than there are */
	assert_true(sources_ok(&st, &e) < 0);
	b.s.count[0] = 0; /* fewer than it has inputs */
	assert_true(sources_ok(&st, &e) < 0);
	b.s.count[0] = 1;
	b.s.data.len = 29;
	assert_true(sources_ok(&st, &e) < 0);
	b.s.data.len = 30;
	b.s.inlined[1] = 0; /* not rising */
	assert_true(sources_ok(&st, &e) < 0);
	b.s.inlined[1] = 2;
	b.s.bytes[0] = UINT64_MAX; /* missing, and inline */
	assert_true(sources_ok(&st, &e) < 0);
	b.s.bytes[0] = 10;
	b.s.sha256.len = 64;
	assert_true(sources_ok(&st, &e) < 0);
	b.s.sha256.len = 96;
	b.s.pack = (ProtobufCBinaryData){32, digests[7]}; /* both here and there */
	assert_true(sources_ok(&st, &e) < 0);
	b.s.pack.len = 0;
	assert_int_equal(sources_ok(&st, &e), 0);
}

static void table_has_so_many_files_and_no_more(void **state)
{
	struct sources_building b;
	uint32_t which;

	(void)state;
	assert_int_equal(sources_begin(&b, 1, true, 0, &a), 0);
	sources_task(&b);
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		assert_int_equal(sources_add(&b, &(struct source_view){NULL, 100000, digests[0]}, &which), 0);
	assert_true(sources_add(&b, &(struct source_view){NULL, 100000, digests[0]}, &which) < 0);
	assert_true(sources_again(&b, 0) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(each_task_finds_its_file, setup, teardown),
	        cmocka_unit_test_setup_teardown(part_of_a_table_has_what_its_tasks_take, setup, teardown),
	        cmocka_unit_test_setup_teardown(pack_is_one_blob_and_is_cut_whole, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_is_no_table_is_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(table_has_so_many_files_and_no_more, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
