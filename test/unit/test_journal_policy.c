/* SPDX-License-Identifier: Apache-2.0 */
/* test_journal_policy - facts about dropping history, a bounded log, snapshots of a child, and readers beside the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <time.h>

#include "core/merkle.h"
#include "io/sha256.h"
#include "journal_help.h"

#define SMALL_LOG ((struct journal_options){.wal_bytes_max = 256 << 10})

static void add_result(struct world *w, uint64_t i, uint64_t job, uint64_t task)
{
	uint8_t bytes[ENTRY_MOST];
	struct journal_index x = {.job = job,
	        .first = task,
	        .count = 1,
	        .outputs = (const uint8_t *)"output",
	        .output_bytes = 6};

	assert_int_equal(journal_add(w->j, bytes, make_entry(i, bytes), &x), i);
}

static bool has_result(struct journal_reader *r, uint64_t job, uint64_t task)
{
	const uint8_t *bytes, *out;
	size_t n, out_n;
	uint64_t seq;
	struct err e;

	if (journal_read_result(r, job, 0, task, &seq, &bytes, &n, &out, &out_n, &e) == 0) {
		assert_int_equal(out_n, 6);
		return true;
	}
	assert_int_equal(e.code, ERR_NOTFOUND);
	return false;
}

/* The commit thread drops in steps and tells nobody: look until it is done. */
static void wait_gone(struct journal_reader *r, uint64_t job, uint64_t tasks)
{
	time_t give_up = time(NULL) + 30;

	while (has_result(r, job, tasks - 1) || has_result(r, job, 0)) {
		assert_true(time(NULL) < give_up);
		(void)sched_yield();
	}
}

static void forgotten_job_leaves_its_entries_and_the_other_jobs(void **state)
{
	struct world *w = *state;
	struct journal_reader *r;
	struct journal_head before, after;
	uint64_t n = 0;
	struct err e;

	world_open(w, NULL);
	for (uint64_t task = 0; task < 1000; task++) {
		add_result(w, n++, 1, task);
		add_result(w, n++, 2, task);
	}
	world_flush_wait(w);
	journal_head(w->j, &before);
	assert_int_equal(journal_reader_open(w->dir, &r, &e), 0);
	assert_true(has_result(r, 1, 999));
	journal_forget(w->j, 1);
	journal_flush(w->j);
	wait_gone(r, 1, 1000);
	for (uint64_t task = 0; task < 1000; task += 111) {
		assert_false(has_result(r, 1, task));
		assert_true(has_result(r, 2, task));
	}
	journal_head(w->j, &after);
	assert_memory_equal(before.root, after.root, 32);
	assert_int_equal(world_replay(w, 0, UINT64_MAX), n);
	journal_reader_close(r);
}

static void forgetting_goes_on_after_a_restart(void **state)
{
	struct world *w = *state;
	struct journal_reader *r;
	struct err e;

	world_open(w, NULL);
	for (uint64_t task = 0; task < 3000; task++)
		add_result(w, task, 1, task);
	journal_forget(w->j, 1);
	world_close(w); /* commits, and does not wait for the steps */
	world_open(w, NULL);
	assert_int_equal(journal_reader_open(w->dir, &r, &e), 0);
	wait_gone(r, 1, 3000);
	journal_reader_close(r);
}

static void dropped_history_keeps_the_tree(void **state)
{
	struct world *w = *state;
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	struct journal_reader *r;
	struct journal_head before, after;
	uint8_t leaf[32], want[32], entry[ENTRY_MOST];
	const uint8_t *bytes;
	size_t n;
	time_t give_up = time(NULL) + 30;
	struct err e;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 5000; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
	assert_int_equal(journal_drop_history(w->j, 256, &e), -1); /* recovery would need them */
	assert_int_equal(e.code, ERR_INVALID);
	world_snapshot(w, 100);
	assert_int_equal(journal_drop_history(w->j, 5001, &e), -1);
	assert_int_equal(journal_drop_history(w->j, 4999, &e), 0);
	journal_head(w->j, &before);
	(void)world_add(w, 5000);
	world_flush_wait(w);
	assert_int_equal(journal_reader_open(w->dir, &r, &e), 0);
	while (journal_read_entry(r, 4863, &bytes, &n, leaf, &e) == 0)
		assert_true(time(NULL) < give_up && sched_yield() == 0);
	assert_int_equal(e.code, ERR_NOTFOUND);
	assert_non_null(strstr(e.msg, "payload expired"));
	merkle_leaf(&h, entry, make_entry(4863, entry), want);
	assert_memory_equal(leaf, want, 32);
	assert_int_equal(journal_read_entry(r, 4864, &bytes, &n, leaf, &e), 0); /* 19 * 256 */
	assert_entry(bytes, n, 4864);
	assert_int_equal(journal_replay(w->j, 4863, 4865, check_replayed, &(struct replayed){0}, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	assert_int_equal(world_replay(w, 4864, UINT64_MAX), 137);
	journal_reader_close(r);
	for (int without = 0; without < 2; without++) {
		struct journal_stats s;
		char path[100];

		world_close(w);
		(void)snprintf(path, sizeof(path), "%s/snapshot-5000", w->dir);
		assert_int_equal(without ? unlink(path) : 0, 0);
		world_open(w, NULL);
		journal_head(w->j, &after);
		assert_int_equal(after.size, 5001);
		journal_stats(w->j, &s);
		assert_int_equal(s.history_from, 4864);
		assert_int_equal(s.entries, 5001);
		if (w->record[0]) /* of 5001 entries of some 310 bytes 137 are left, and hashes of the others */
			assert_in_range(s.db_bytes, 137 * 100, 137 * 700 + 4864 * 40);
		else
			assert_true(s.free_bytes > s.db_bytes / 2); /* the pages are there to be used again */
		if (!without)
			before = after;
		assert_memory_equal(before.root, after.root, 32);
	}
	sha256_free(sha);
}

static void log_stays_within_its_bound_beside_an_open_reader(void **state)
{
	struct world *w = *state;
	struct journal_reader *r;
	const uint8_t *bytes;
	uint8_t leaf[32];
	char path[100];
	struct stat st;
	size_t n;
	struct err e;

	if (w->record[0])
		skip(); /* of SQLite's log */
	world_open(w, &SMALL_LOG);
	(void)world_add(w, 0);
	world_flush_wait(w);
	assert_int_equal(journal_reader_open(w->dir, &r, &e), 0);
	for (uint64_t i = 1; i < 20000; i++) {
		(void)world_add(w, i);
		if (i % 100 == 0) {
			world_flush_wait(w);
			assert_int_equal(journal_read_entry(r, i, &bytes, &n, leaf, &e), 0);
		}
	}
	(void)snprintf(path, sizeof(path), "%s/journal.db-wal", w->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 640 << 10); /* 256 KiB and one batch */
	(void)snprintf(path, sizeof(path), "%s/journal.db", w->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 5 << 20);
	journal_reader_close(r);
}

static void child_writes_the_snapshot_and_the_parent_puts_it_in_place(void **state)
{
	struct world *w = *state;
	struct journal_snapshot *s;
	uint8_t *bytes;
	uint64_t seq;
	size_t n;
	int status;
	pid_t pid;
	struct err e;

	world_open(w, NULL);
	(void)world_add(w, 0);
	world_flush_wait(w);
	assert_int_equal(journal_snapshot_begin(w->j, 1, &s, &e), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		uint8_t state_bytes[100];

		for (size_t i = 0; i < sizeof(state_bytes); i++)
			state_bytes[i] = (uint8_t)(1 + i);
		if (journal_snapshot_put(s, state_bytes, sizeof(state_bytes)) < 0 ||
		        journal_snapshot_seal(s, &e) < 0)
			_exit(1);
		_exit(0);
	}
	(void)world_add(w, 1); /* life goes on meanwhile */
	world_flush_wait(w);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(journal_snapshot_end(s, true, &e), 0);
	assert_int_equal(journal_snapshot_load(w->j, UINT64_MAX, &bytes, &n, &seq, &e), 0);
	assert_int_equal(seq, 1);
	assert_state(bytes, n, 1, 100);
	free(bytes);
}

static void child_that_died_leaves_no_snapshot(void **state)
{
	struct world *w = *state;
	struct journal_snapshot *s;
	int status;
	pid_t pid;
	struct err e;

	world_open(w, NULL);
	(void)world_add(w, 0);
	world_flush_wait(w);
	assert_int_equal(journal_snapshot_begin(w->j, 1, &s, &e), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		static const uint8_t much[200000];

		(void)journal_snapshot_put(s, much, sizeof(much));
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_not_equal(status, 0);
	assert_int_equal(journal_snapshot_end(s, true, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
	assert_int_equal(count_files(w, "snapshot-"), 0);
}

static void child_does_not_hold_the_lock_of_a_dead_engine(void **state)
{
	struct world *w = *state;
	struct journal_snapshot *s;
	int to_child[2], to_parent[2];
	char byte = 0;
	pid_t pid;
	struct err e;

	assert_true(pipe(to_child) == 0 && pipe(to_parent) == 0);
	world_open(w, NULL);
	assert_int_equal(journal_snapshot_begin(w->j, 0, &s, &e), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)journal_snapshot_put(s, &byte, 1);
		_exit(write(to_parent[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1 ? 0 : 1);
	}
	assert_int_equal(read(to_parent[0], &byte, 1), 1);
	assert_int_equal(journal_snapshot_end(s, false, &e), 0);
	world_close(w);
	world_open(w, NULL); /* the child still lives */
	assert_int_equal(write(to_child[1], &byte, 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (int i = 0; i < 2; i++) {
		(void)close(to_child[i]);
		(void)close(to_parent[i]);
	}
}

/* ---- threads ---- */

struct looker {
	const char *dir;
	uint64_t durable; /* atomic: set by the loop */
	bool stop;        /* atomic */
	uint64_t looked;
	int wrong;
};

static void *look(void *ctx)
{
	struct looker *l = ctx;
	struct journal_reader *r;
	struct err e;

	if (journal_reader_open(l->dir, &r, &e) < 0) {
		l->wrong++;
		return NULL;
	}
	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE) || l->looked == 0) {
		uint64_t durable = __atomic_load_n(&l->durable, __ATOMIC_ACQUIRE), seq;
		const uint8_t *bytes, *out;
		uint8_t leaf[32], want[ENTRY_MOST];
		size_t n, out_n;

		if (durable == 0)
			continue;
		l->wrong += journal_read_entry(r, durable - 1, &bytes, &n, leaf, &e) < 0 ||
		            n != make_entry(durable - 1, want) || memcmp(bytes, want, n) != 0;
		l->wrong +=
		        journal_read_result(r, 3, 0, durable - 1, &seq, &bytes, &n, &out, &out_n, &e) < 0 ||
		        seq != durable - 1 || out_n != 6;
		l->looked++;
	}
	journal_reader_close(r);
	return NULL;
}

static void readers_see_every_durable_entry_while_batches_go_every_way(void **state)
{
	struct world *w = *state;
	struct looker l[2];
	pthread_t thread[2];

	world_open(w, &SMALL_LOG);
	for (int i = 0; i < 2; i++) {
		l[i] = (struct looker){.dir = w->dir};
		assert_int_equal(pthread_create(&thread[i], NULL, look, &l[i]), 0);
	}
	for (uint64_t i = 0; i < 3000; i++) {
		add_result(w, i, 3, i);
		if (i % 7 == 0)
			journal_flush(w->j);
		if (i % 31 == 0)
			journal_flush_inline(w->j);
		if (i % 5 == 0)
			journal_poll(w->j);
		if (i % 500 == 499)
			world_snapshot(w, 1000);
		(void)journal_backlog_bytes(w->j);
		for (int k = 0; k < 2; k++)
			__atomic_store_n(&l[k].durable, w->durable, __ATOMIC_RELEASE);
	}
	world_flush_wait(w);
	for (int k = 0; k < 2; k++) {
		__atomic_store_n(&l[k].durable, w->durable, __ATOMIC_RELEASE);
		__atomic_store_n(&l[k].stop, true, __ATOMIC_RELEASE);
		assert_int_equal(pthread_join(thread[k], NULL), 0);
		assert_int_equal(l[k].wrong, 0);
		assert_true(l[k].looked > 0);
	}
	assert_int_equal(w->durable, 3000);
	assert_int_equal(world_replay(w, 0, UINT64_MAX), 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        fact(forgotten_job_leaves_its_entries_and_the_other_jobs),
	        fact(forgetting_goes_on_after_a_restart),
	        fact(dropped_history_keeps_the_tree),
	        fact(log_stays_within_its_bound_beside_an_open_reader),
	        fact(child_writes_the_snapshot_and_the_parent_puts_it_in_place),
	        fact(child_that_died_leaves_no_snapshot),
	        fact(child_does_not_hold_the_lock_of_a_dead_engine),
	        fact(readers_see_every_durable_entry_while_batches_go_every_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
