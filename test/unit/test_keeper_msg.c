/* SPDX-License-Identifier: Apache-2.0 */
/* test_keeper_msg - facts about the bytes between engine and keeper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "wire/keeper_msg.h"

static uint8_t packet[KEEPER_PACKET_MAX];
static char strings[4096], env_mem[4096];
static uint8_t in_mem[4096], out_mem[4096];

#define TEXT(s) ((struct keeper_text){s, sizeof(s) - 1})

static struct keeper_msg a_start(void)
{
	struct keeper_msg m = {
	        .kind = KEEPER_START, .flags = KEEPER_FOLLOWED, .slot = 3, .lease = 17, .index = 4};
	struct keeper_start *s = &m.u.start;
	struct keeper_file f = {KEEPER_FILE_EXECUTABLE, TEXT("bin/tool"), TEXT("ab/cdef")};

	s->uid = 1000;
	s->memory_bytes = 1 << 20;
	s->timeout_ns = 5;
	s->umask = 022;
	s->stdin_kind = KEEPER_STDIN_TEXT;
	s->stdin_ = TEXT("two\0bytes");
	s->workdir = TEXT("/tmp");
	assert_int_equal(keeper_list_add(&s->argv, strings, sizeof(strings), "echo", NULL), 0);
	assert_int_equal(keeper_list_add(&s->argv, strings, sizeof(strings), "", NULL), 0);
	assert_int_equal(keeper_list_add(&s->argv, strings, sizeof(strings), "hi", NULL), 0);
	assert_int_equal(keeper_list_add(&s->env, env_mem, sizeof(env_mem), "A=b", NULL), 0);
	assert_int_equal(keeper_file_add(&s->inputs, in_mem, sizeof(in_mem), &f, NULL), 0);
	f = (struct keeper_file){KEEPER_FILE_INLINE, TEXT("x"), TEXT("\0\1\2")};
	assert_int_equal(keeper_file_add(&s->inputs, in_mem, sizeof(in_mem), &f, NULL), 0);
	f = (struct keeper_file){KEEPER_FILE_OPTIONAL, TEXT("out/a"), TEXT("")};
	assert_int_equal(keeper_file_add(&s->outputs, out_mem, sizeof(out_mem), &f, NULL), 0);
	return m;
}

static struct keeper_msg an_exited(const uint64_t sizes[2])
{
	struct keeper_msg m = {
	        .kind = KEEPER_EXITED, .flags = KEEPER_ERR_SPOOLED, .slot = 9, .lease = 1, .index = 2};

	m.u.exited = (struct keeper_exited){.end = KEEPER_END_SIGNAL,
	        .code = 9,
	        .wall_us = 77,
	        .out_bytes = 4,
	        .n_outputs = 2,
	        .note = TEXT("why"),
	        .out = TEXT("a\0b\n"),
	        .output_bytes = sizes};
	return m;
}

static void start_comes_back_as_it_was(void **state)
{
	struct keeper_msg m = a_start(), r;
	const struct keeper_start *s = &r.u.start;
	struct keeper_file f;
	size_t n = 0, at = 0, i = 0;
	const char *arg;
	struct err e;

	(void)state;
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &m, &e), 0);
	assert_int_equal(keeper_msg_next(packet, n, &at, &r, &e), 1);
	assert_int_equal(r.kind, KEEPER_START);
	assert_int_equal(r.flags, KEEPER_FOLLOWED);
	assert_int_equal(r.slot, 3);
	assert_int_equal(r.lease, 17);
	assert_int_equal(r.index, 4);
	assert_int_equal(s->uid, 1000);
	assert_int_equal(s->memory_bytes, 1 << 20);
	assert_string_equal(s->workdir.p, "/tmp");
	assert_int_equal(s->stdin_.n, 9);
	assert_memory_equal(s->stdin_.p, "two\0bytes", 9);
	arg = keeper_list_next(&s->argv, NULL);
	assert_string_equal(arg, "echo");
	arg = keeper_list_next(&s->argv, arg);
	assert_string_equal(arg, "");
	arg = keeper_list_next(&s->argv, arg);
	assert_string_equal(arg, "hi");
	assert_null(keeper_list_next(&s->argv, arg));
	assert_true(keeper_file_next(&s->inputs, &i, &f));
	assert_string_equal(f.path.p, "bin/tool");
	assert_string_equal(f.data.p, "ab/cdef");
	assert_true(keeper_file_next(&s->inputs, &i, &f));
	assert_int_equal(f.data.n, 3);
	assert_memory_equal(f.data.p, "\0\1\2", 3);
	assert_false(keeper_file_next(&s->inputs, &i, &f));
	assert_int_equal(keeper_msg_next(packet, n, &at, &r, &e), 0);
}

static void messages_share_a_packet_in_order(void **state)
{
	uint64_t sizes[2] = {5, KEEPER_MISSING}, back[2];
	struct keeper_msg a = a_start(), b = an_exited(sizes), r;
	size_t n = 0, at = 0;
	struct err e;

	(void)state;
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &b, &e), 0);
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &a, &e), 0);
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &b, &e), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(keeper_msg_next(packet, n, &at, &r, &e), 1);
		assert_int_equal(r.kind, i == 1 ? KEEPER_START : KEEPER_EXITED);
	}
	assert_string_equal(r.u.exited.note.p, "why");
	assert_memory_equal(r.u.exited.out.p, "a\0b\n", 4);
	memcpy(back, r.u.exited.output_bytes, sizeof(back));
	assert_memory_equal(back, sizes, sizeof(sizes));
	assert_int_equal(keeper_msg_next(packet, n, &at, &r, &e), 0);
}

static void every_kind_survives_the_way(void **state)
{
	static const enum keeper_kind kinds[] = {KEEPER_HELLO, KEEPER_STOP, KEEPER_ADJUST, KEEPER_FOLLOW,
	        KEEPER_ADOPT, KEEPER_ACK, KEEPER_RELEASE, KEEPER_SHUTDOWN, KEEPER_RESUMED, KEEPER_READY,
	        KEEPER_SLOT, KEEPER_STARTED, KEEPER_STOPPED, KEEPER_REFUSED};
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct keeper_msg m = {.kind = kinds[i], .lease = i}, r;
		size_t n = 0, at = 0;

		m.u.hello.version = KEEPER_PROTOCOL; /* the first field of READY too */
		if (m.kind == KEEPER_REFUSED)
			m.u.refused = TEXT("no");
		else if (m.kind == KEEPER_STOP)
			m.u.stop.signal = 15;
		assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &m, &e), 0);
		assert_int_equal(keeper_msg_next(packet, n, &at, &r, &e), 1);
		assert_int_equal(r.kind, kinds[i]);
		assert_int_equal(r.lease, i);
		assert_string_not_equal(keeper_kind_name(r.kind), "unknown");
	}
}

static void paths_that_leave_the_folder_are_refused(void **state)
{
	static const char *const bad[] = {
	        "", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", "./a", "a/.", "a//b", "a/"};
	static const char *const good[] = {"a", "a/b", "...", "a/..b", ".hidden", "a b"};
	struct keeper_files f = {0};
	char big[300];

	(void)state;
	memset(big, 'a', sizeof(big));
	assert_false(keeper_path_ok(big, 256));
	assert_true(keeper_path_ok(big, 255));
	assert_false(keeper_path_ok("a\0b", 3));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct keeper_file x = {0, {bad[i], (uint32_t)strlen(bad[i])}, TEXT("b")};

		assert_false(keeper_path_ok(bad[i], strlen(bad[i])));
		assert_int_equal(keeper_file_add(&f, in_mem, sizeof(in_mem), &x, NULL), -1);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(keeper_path_ok(good[i], strlen(good[i])));
}

static void too_large_a_start_is_refused_and_changes_nothing(void **state)
{
	static char mem[KEEPER_PACKET_MAX], big[KEEPER_PACKET_MAX - 64];
	struct keeper_msg m = {.kind = KEEPER_START};
	size_t n = 0;
	struct err e;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(keeper_list_add(&m.u.start.argv, mem, sizeof(mem), big, &e), 0);
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &m, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
	assert_int_equal(n, 0);
	assert_int_equal(keeper_list_add(&m.u.start.argv, mem, sizeof(mem), big, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
}

/* Read everything a parsed message points at: a sanitizer sees it when that is outside. */
static unsigned touch(const struct keeper_msg *m)
{
	unsigned sum = 0;
	size_t at = 0;
	struct keeper_file f;

	if (m->kind == KEEPER_START) {
		uint32_t seen = 0;

		for (const char *s = NULL; (s = keeper_list_next(&m->u.start.argv, s)); seen++)
			sum += (unsigned)strlen(s);
		assert_int_equal(seen, m->u.start.argv.n);
		for (seen = 0; keeper_file_next(&m->u.start.inputs, &at, &f); seen++) {
			assert_true(keeper_path_ok(f.path.p, f.path.n));
			sum += (unsigned)strlen(f.path.p) + (unsigned)f.data.p[f.data.n];
		}
		assert_int_equal(seen, m->u.start.inputs.n);
	} else if (m->kind == KEEPER_EXITED) {
		for (uint32_t i = 0; i < m->u.exited.n_outputs * 8; i++)
			sum += ((const uint8_t *)m->u.exited.output_bytes)[i];
		sum += (unsigned)strlen(m->u.exited.note.p);
	}
	return sum;
}

static void no_flip_or_cut_leads_outside_the_packet(void **state)
{
	uint64_t sizes[2] = {1, 2};
	struct keeper_msg a = a_start(), b = an_exited(sizes), r;
	size_t n = 0;
	struct prng p;
	struct err e;

	(void)state;
	prng_init(&p, 42);
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &a, &e), 0);
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &b, &e), 0);
	for (size_t round = 0; round < n * 8 + 20000; round++) {
		size_t len = round < n * 8 ? n : (size_t)prng_below(&p, n + 1), at = 0;
		uint8_t *copy =
		        malloc(len ? len : 1); /* its own block: a read past the end is seen by ASan */
		int flips = round < n * 8 ? 1 : (int)prng_below(&p, 4);

		assert_non_null(copy);
		memcpy(copy, packet, len);
		for (int i = 0; i < flips && len; i++) {
			size_t bit = round < n * 8 ? round : (size_t)prng_below(&p, len * 8);

			copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		}
		while (keeper_msg_next(copy, len, &at, &r, &e) == 1)
			(void)touch(&r);
		free(copy);
	}
}

static void malformed_start_keeps_its_name(void **state)
{
	struct keeper_msg m = a_start(), r;
	size_t n = 0, at = 0;
	uint32_t none = 0;
	struct err e;

	(void)state;
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &m, &e), 0);
	/* argv's count, right after the fixed part */
	memcpy(packet + sizeof(struct keeper_head) + offsetof(struct keeper_start, argv), &none, 4);
	assert_int_equal(keeper_msg_next(packet, n, &at, &r, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(r.kind, KEEPER_START);
	assert_int_equal(r.lease, 17);
	assert_int_equal(r.index, 4);
}

static void other_version_is_told_as_such(void **state)
{
	struct keeper_msg m = {.kind = KEEPER_HELLO}, r;
	size_t n = 0, at = 0;
	struct err e;

	(void)state;
	m.u.hello.version = KEEPER_PROTOCOL + 1;
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &m, &e), 0);
	assert_int_equal(keeper_msg_next(packet, n, &at, &r, &e), -1);
	assert_int_equal(e.code, ERR_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(start_comes_back_as_it_was),
	        cmocka_unit_test(messages_share_a_packet_in_order),
	        cmocka_unit_test(every_kind_survives_the_way),
	        cmocka_unit_test(paths_that_leave_the_folder_are_refused),
	        cmocka_unit_test(too_large_a_start_is_refused_and_changes_nothing),
	        cmocka_unit_test(no_flip_or_cut_leads_outside_the_packet),
	        cmocka_unit_test(malformed_start_keeps_its_name),
	        cmocka_unit_test(other_version_is_told_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
