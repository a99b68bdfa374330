/* SPDX-License-Identifier: Apache-2.0 */
/* test_journal - facts about the journal: what is acknowledged is there afterwards, whatever happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/prng.h"
#include "io/fault.h"
#include "io/journal.h"
#include "io/sha256.h"
#include "journal_help.h"

static void added_entries_come_back_in_order_with_the_same_root(void **state)
{
	struct world *w = *state;
	struct journal_head before, after;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(world_add(w, i), i);
	world_flush_wait(w);
	assert_int_equal(w->durable, 1000);
	journal_head(w->j, &before);
	assert_int_equal(world_replay(w, 0, UINT64_MAX), 1000);
	world_close(w);
	world_open(w, NULL);
	journal_head(w->j, &after);
	assert_int_equal(after.size, 1000);
	assert_memory_equal(before.root, after.root, 32);
	assert_int_equal(world_replay(w, 0, UINT64_MAX), 1000);
	assert_int_equal(world_replay(w, 500, 600), 100);
}

static void nothing_is_durable_before_a_flush(void **state)
{
	struct world *w = *state;

	world_open(w, NULL);
	(void)world_add(w, 0);
	journal_poll(w->j);
	assert_int_equal(w->durable, 0);
	assert_int_equal(journal_durable(w->j), 0);
	assert_true(journal_backlog_bytes(w->j) > 0);
	world_flush_wait(w);
	assert_int_equal(journal_durable(w->j), 1);
	assert_int_equal(journal_backlog_bytes(w->j), 0);
}

static void inline_flush_reports_before_it_returns(void **state)
{
	struct world *w = *state;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 50; i++) {
		(void)world_add(w, i);
		if (w->record[0]) { /* a server may be slow: the loop thread never waits for it */
			world_flush_wait(w);
			continue;
		}
		journal_flush_inline(w->j);
		assert_int_equal(w->durable, i + 1);
	}
	assert_int_equal(world_replay(w, 0, UINT64_MAX), 50);
}

/* Calls of this process that write, so far. */
static uint64_t writes(void)
{
	char text[512], *at;
	FILE *f = fopen("/proc/self/io", "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	at = strstr(text, "syscw: ");
	assert_non_null(at);
	return strtoull(at + 7, NULL, 10);
}

static void small_commit_is_one_write(void **state)
{
	struct world *w = *state;
	uint64_t before;

	if (w->record[0])
		skip(); /* of SQLite's log */
	world_open(w, NULL);
	for (uint64_t i = 0; i < 10; i++) {
		(void)world_add(w, i);
		journal_flush_inline(w->j);
	}
	before = writes();
	for (uint64_t i = 10; i < 110; i++) {
		(void)world_add(w, i);
		journal_flush_inline(w->j);
	}
	/* A page of entries is full now and then, and is written with the next and with their parent. */
	assert_in_range(writes() - before, 100, 104);
}

static void closing_commits_what_is_open(void **state)
{
	struct world *w = *state;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 7; i++)
		(void)world_add(w, i);
	world_close(w);
	world_open(w, NULL);
	assert_int_equal(journal_durable(w->j), 7);
}

static void second_engine_is_refused_by_the_pid_of_the_first(void **state)
{
	struct world *w = *state;
	struct journal *other = NULL;
	struct err e;
	char pid[32];

	world_open(w, NULL);
	(void)snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_int_equal(journal_open(w->dir, NULL, &other, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_non_null(strstr(e.msg, pid));
	assert_true(e.hint[0] != '\0');
}

static void reader_sees_what_is_durable_beside_the_engine(void **state)
{
	struct world *w = *state;
	struct journal_options ro = {.read_only = true};
	struct journal *beside = NULL;
	struct journal_reader *r = NULL;
	const uint8_t *bytes;
	uint8_t leaf[32];
	size_t n;
	struct err e;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 10; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
	(void)world_add(w, 10);
	assert_int_equal(journal_open(w->dir, &ro, &beside, &e), 0);
	assert_int_equal(journal_durable(beside), 10);
	journal_close(beside);
	assert_int_equal(journal_reader_open(w->dir, &r, &e), 0);
	assert_int_equal(journal_read_entry(r, 9, &bytes, &n, leaf, &e), 0);
	assert_entry(bytes, n, 9);
	assert_int_equal(journal_read_entry(r, 10, &bytes, &n, leaf, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	world_flush_wait(w);
	assert_int_equal(journal_read_entry(r, 10, &bytes, &n, leaf, &e), 0);
	assert_entry(bytes, n, 10);
	journal_reader_close(r);
}

/* A naive model: every range ever added, looked through one by one. */
static void result_of_a_task_is_found_whatever_ranges_there_are(void **state)
{
	struct world *w = *state;
	struct {
		uint64_t first, count;
		uint32_t step;
	} range[300];
	struct journal_reader *r = NULL;
	struct prng p;
	struct err e;

	world_open(w, NULL);
	prng_init(&p, 7);
	for (uint64_t i = 0; i < 300; i++) {
		uint8_t out[8], bytes[ENTRY_MOST];
		struct journal_index x = {.job = 5,
		        .step = (uint32_t)prng_below(&p, 2),
		        .first = prng_below(&p, 5000),
		        .count = 1 + prng_below(&p, 1u << prng_below(&p, 11)),
		        .outputs = out,
		        .output_bytes = i % 3 ? 8 : 0};

		memcpy(out, &i, 8);
		range[i].first = x.first, range[i].count = x.count, range[i].step = x.step;
		assert_int_equal(journal_add(w->j, bytes, make_entry(i, bytes), &x), i);
	}
	world_flush_wait(w);
	assert_int_equal(journal_reader_open(w->dir, &r, &e), 0);
	for (uint64_t task = 0; task < 6100; task += 7) {
		uint32_t step = (uint32_t)(task & 1);
		uint64_t newest = UINT64_MAX, all = 0, seq;
		const uint8_t *bytes, *out;
		size_t n, out_n;

		for (uint64_t i = 0; i < 300; i++) {
			if (range[i].step == step && task >= range[i].first &&
			        task - range[i].first < range[i].count) {
				newest = i;
				all++;
			}
		}
		if (newest == UINT64_MAX) {
			assert_int_equal(
			        journal_read_result(r, 5, step, task, &seq, &bytes, &n, &out, &out_n, &e),
			        -1);
			assert_int_equal(e.code, ERR_NOTFOUND);
			continue;
		}
		assert_int_equal(
		        journal_read_result(r, 5, step, task, &seq, &bytes, &n, &out, &out_n, &e), 0);
		assert_int_equal(seq, newest);
		assert_entry(bytes, n, newest);
		assert_int_equal(out_n, newest % 3 ? 8 : 0);
		if (out_n)
			assert_memory_equal(out, &newest, 8);
		struct order o = {0};

		assert_int_equal(journal_read_attempts(r, 5, step, task, rising, &o, &e), 0);
		assert_int_equal(o.n, all);
		assert_int_equal(o.last, newest);
	}
	journal_reader_close(r);
}

static void snapshot_comes_back_with_its_entry_number(void **state)
{
	struct world *w = *state;
	uint8_t *bytes;
	size_t n;
	uint64_t seq;
	struct err e;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 100; i++) {
		(void)world_add(w, i);
		if (i % 20 == 12) {
			world_snapshot(w, 200000);
			world_flush_wait(w);
		}
	}
	world_close(w);
	assert_int_equal(count_files(w, "snapshot-"), 2);
	world_open(w, NULL);
	assert_int_equal(journal_snapshot_load(w->j, UINT64_MAX, &bytes, &n, &seq, &e), 0);
	assert_int_equal(seq, 93);
	assert_state(bytes, n, 93, 200000);
	free(bytes);
	assert_int_equal(journal_snapshot_load(w->j, 92, &bytes, &n, &seq, &e), 0);
	assert_int_equal(seq, 73);
	free(bytes);
	assert_int_equal(journal_snapshot_load(w->j, 72, &bytes, &n, &seq, &e), 0);
	assert_null(bytes);
	assert_int_equal(seq, 0);
	assert_int_equal(world_replay(w, 93, UINT64_MAX), 7);
}

static void snapshot_of_undurable_entries_waits_for_them(void **state)
{
	struct world *w = *state;

	world_open(w, NULL);
	(void)world_add(w, 0);
	world_snapshot(w, 10);
	assert_int_equal(count_files(w, "snapshot-1"), 1); /* the .tmp */
	assert_int_equal(count_files(w, "snapshot-1.tmp"), 1);
	world_flush_wait(w);
	assert_int_equal(count_files(w, "snapshot-1.tmp"), 0);
	assert_int_equal(count_files(w, "snapshot-1"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        fact(added_entries_come_back_in_order_with_the_same_root),
	        fact(nothing_is_durable_before_a_flush),
	        fact(inline_flush_reports_before_it_returns),
	        fact(small_commit_is_one_write),
	        fact(closing_commits_what_is_open),
	        fact(second_engine_is_refused_by_the_pid_of_the_first),
	        fact(reader_sees_what_is_durable_beside_the_engine),
	        fact(result_of_a_task_is_found_whatever_ranges_there_are),
	        fact(snapshot_comes_back_with_its_entry_number),
	        fact(snapshot_of_undurable_entries_waits_for_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
