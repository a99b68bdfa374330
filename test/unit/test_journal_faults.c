/* SPDX-License-Identifier: Apache-2.0 */
/* test_journal_faults - facts about a journal that is cut, damaged, killed, full or denied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/prng.h"
#include "io/sha256.h"
#include "journal_help.h"

#define SMALL_LOG ((struct journal_options){.wal_bytes_max = 256 << 10, .full_retry_ms = 1})

/* ---- files ---- */

struct bytes {
	uint8_t *p;
	size_t n;
};

static struct bytes slurp(const char *dir, const char *name)
{
	char path[600];
	struct stat st;
	struct bytes b;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	b.n = (size_t)st.st_size;
	b.p = malloc(b.n + 1);
	assert_non_null(b.p);
	assert_int_equal(read(fd, b.p, b.n), b.n);
	(void)close(fd);
	return b;
}

static void spill(const char *dir, const char *name, const uint8_t *p, size_t n)
{
	char path[600];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	(void)close(fd);
}

/* A journal as a crash leaves it: `moved` entries in the database, the others in the log. */
struct crashed {
	struct bytes db, wal;
	uint64_t moved, all;
};

static struct crashed make_crashed(struct world *w)
{
	struct crashed c = {.moved = 60, .all = 150};

	world_open(w, &SMALL_LOG);
	for (uint64_t i = 0; i < c.moved; i++)
		(void)world_add(w, i);
	world_close(w); /* moves the log */
	world_open(w, &SMALL_LOG);
	for (uint64_t i = c.moved; i < c.all; i++) {
		(void)world_add(w, i);
		if (i % 10 == 9)
			world_flush_wait(w);
	}
	c.db = slurp(w->dir, "journal.db");
	c.wal = slurp(w->dir, "journal.db-wal");
	world_close(w);
	return c;
}

static void free_crashed(struct crashed *c)
{
	free(c->db.p);
	free(c->wal.p);
}

/* Open what lies there: a right prefix, or a refusal that says what to do. How many entries; -1: refused. */
static int64_t prefix_or_refusal(struct world *w, uint64_t most)
{
	struct journal_options o = SMALL_LOG;
	struct replayed r = {0};
	struct err e = {0};
	int rc;

	if (world_try_open(w, &o, &e) < 0) {
		if (e.code != ERR_CORRUPT && e.code != ERR_VERSION && e.code != ERR_DENIED)
			fail_msg("refused with %s: %s", err_code_name(e.code), e.msg);
		assert_true(e.hint[0] != '\0');
		return -1;
	}
	assert_true(journal_durable(w->j) <= most);
	rc = journal_replay(w->j, 0, UINT64_MAX, check_replayed, &r, &e);
	assert_true(rc == 0);
	assert_int_equal(r.n, journal_durable(w->j));
	world_close(w);
	return (int64_t)r.n;
}

static void log_cut_at_any_byte_opens_with_a_prefix(void **state)
{
	struct world *w = *state;
	struct crashed c = make_crashed(w);
	size_t used = 0;
	int64_t last = (int64_t)c.moved;

	for (size_t i = 0; i < c.wal.n; i++)
		used = c.wal.p[i] ? i : used;
	for (size_t cut = 0; cut <= used + 1000; cut += cut < 64 || used - cut < 40 ? 1 : 997) {
		int64_t n;

		empty_folder(w->dir);
		spill(w->dir, "journal.db", c.db.p, c.db.n);
		spill(w->dir, "journal.db-wal", c.wal.p, cut);
		n = prefix_or_refusal(w, c.all);
		assert_true(n >= last); /* more of the log is never less of the journal */
		last = n;
	}
	assert_int_equal(last, c.all);
	free_crashed(&c);
}

static void garbage_in_the_log_opens_with_a_prefix(void **state)
{
	struct world *w = *state;
	struct crashed c = make_crashed(w);
	struct prng p;

	prng_init(&p, 11);
	for (int i = 0; i < 150; i++) {
		size_t at = prng_below(&p, c.wal.n), n = 1 + prng_below(&p, 5000);
		uint8_t *copy = malloc(c.wal.n + n);

		assert_non_null(copy);
		memcpy(copy, c.wal.p, c.wal.n);
		for (size_t k = 0; k < n; k++)
			copy[at + k] = (uint8_t)prng_next(&p);
		empty_folder(w->dir);
		spill(w->dir, "journal.db", c.db.p, c.db.n);
		spill(w->dir, "journal.db-wal", copy, at + n > c.wal.n ? at + n : c.wal.n);
		assert_true(prefix_or_refusal(w, c.all) >= (int64_t)c.moved);
		free(copy);
	}
	free_crashed(&c);
}

static void database_cut_at_any_byte_is_refused_or_a_prefix(void **state)
{
	struct world *w = *state;
	struct crashed c = make_crashed(w);
	int refused = 0;

	for (int with_log = 0; with_log < 2; with_log++) {
		for (size_t cut = 0; cut < c.db.n;
		        cut += cut < 20 || cut % 4096 > 4090 || cut % 4096 < 3 ? 1 : 331) {
			empty_folder(w->dir);
			spill(w->dir, "journal.db", c.db.p, cut);
			if (with_log)
				spill(w->dir, "journal.db-wal", c.wal.p, c.wal.n);
			refused += prefix_or_refusal(w, c.all) < 0;
		}
	}
	assert_true(refused > 100);
	free_crashed(&c);
}

static void damaged_database_is_refused_or_right(void **state)
{
	struct world *w = *state;
	struct crashed c = make_crashed(w);
	struct prng p;
	int refused = 0;

	prng_init(&p, 12);
	for (int i = 0; i < 400; i++) {
		size_t at = prng_below(&p, i % 4 ? c.db.n : 4096);
		uint8_t was = c.db.p[at];

		empty_folder(w->dir);
		c.db.p[at] ^= (uint8_t)(1 + prng_below(&p, 255));
		spill(w->dir, "journal.db", c.db.p, c.db.n);
		c.db.p[at] = was;
		refused += prefix_or_refusal(w, c.moved) < 0;
	}
	assert_true(refused > 100);
	free_crashed(&c);
}

static void missing_database_beside_its_remains_is_refused(void **state)
{
	struct world *w = *state;
	char path[100];
	struct err e;

	world_open(w, NULL);
	(void)world_add(w, 0);
	world_flush_wait(w);
	world_snapshot(w, 10);
	world_close(w);
	(void)snprintf(path, sizeof(path), "%s/journal.db", w->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(world_try_open(w, NULL, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_true(e.hint[0] != '\0');
}

static void journal_that_ends_before_its_snapshot_is_refused(void **state)
{
	struct world *w = *state;
	struct bytes db;
	struct err e;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 5; i++)
		(void)world_add(w, i);
	world_close(w);
	db = slurp(w->dir, "journal.db");
	world_open(w, NULL);
	for (uint64_t i = 5; i < 9; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
	world_snapshot(w, 10);
	world_close(w);
	spill(w->dir, "journal.db", db.p, db.n);
	spill(w->dir, "journal.db-wal", NULL, 0);
	free(db.p);
	assert_int_equal(world_try_open(w, NULL, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "lost entries"));
}

static void damaged_snapshot_is_skipped_for_an_older_one(void **state)
{
	struct world *w = *state;
	struct bytes snapshot, out;
	uint64_t seq;
	struct err e;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 9; i++) {
		(void)world_add(w, i);
		world_flush_wait(w);
		if (i == 3 || i == 6)
			world_snapshot(w, 5000);
	}
	snapshot = slurp(w->dir, "snapshot-7");
	for (size_t at = 0; at < snapshot.n; at += 61) {
		snapshot.p[at] ^= 0x40;
		spill(w->dir, "snapshot-7", snapshot.p, snapshot.n);
		snapshot.p[at] ^= 0x40;
		world_close(w);
		world_open(w, NULL);
		assert_int_equal(journal_snapshot_load(w->j, UINT64_MAX, &out.p, &out.n, &seq, &e), 0);
		assert_int_equal(seq, 4);
		assert_state(out.p, out.n, 4, 5000);
		free(out.p);
		assert_int_equal(world_replay(w, 4, UINT64_MAX), 5);
	}
	for (size_t cut = 0; cut < snapshot.n; cut += 97) {
		spill(w->dir, "snapshot-7", snapshot.p, cut);
		assert_int_equal(journal_snapshot_load(w->j, UINT64_MAX, &out.p, &out.n, &seq, &e), 0);
		assert_int_equal(seq, 4);
		free(out.p);
	}
	free(snapshot.p);
}

static void journal_of_a_newer_osier_is_refused(void **state)
{
	static const char *const sql[] = {"PRAGMA user_version=2",
	        "PRAGMA user_version=1; UPDATE meta SET value = 99 WHERE key = 'entry_format'"};
	struct world *w = *state;
	char path[100];
	struct err e;

	world_open(w, NULL);
	(void)world_add(w, 0);
	world_close(w);
	(void)snprintf(path, sizeof(path), "%s/journal.db", w->dir);
	for (int i = 0; i < 2; i++) {
		sqlite3 *db;

		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, sql[i], NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		assert_int_equal(world_try_open(w, NULL, &e), -1);
		assert_int_equal(e.code, ERR_VERSION);
		assert_true(e.hint[0] != '\0');
	}
}

/* test/data/journal-1: 21 entries of journal_help.h, number 20 with the results of tasks 0..2 of step 1 of job 7 and the
 * outputs "out", a snapshot of the first 16 with 100 bytes of state. */
static void journal_of_format_1_still_opens(void **state)
{
	static const char root[] = "5ecb5387c95a3f5fbb04cfa215be6f4f24197b8056be2b90e3d6fa1e436da853";
	static const char *const names[] = {"journal.db", "snapshot-16"};
	struct world *w = *state;
	struct journal_reader *r;
	struct journal_head head;
	const uint8_t *bytes, *out;
	uint8_t *saved;
	size_t n, out_n;
	uint64_t seq;
	char hex[SHA256_HEX + 1];
	struct err e;

	for (int i = 0; i < 2; i++) {
		struct bytes b = slurp(OSIER_SOURCE_ROOT "/test/data/journal-1", names[i]);

		spill(w->dir, names[i], b.p, b.n);
		free(b.p);
	}
	world_open(w, NULL);
	journal_head(w->j, &head);
	sha256_hex(head.root, hex);
	assert_string_equal(hex, root);
	assert_int_equal(world_replay(w, 0, UINT64_MAX), 21);
	assert_int_equal(journal_snapshot_load(w->j, UINT64_MAX, &saved, &n, &seq, &e), 0);
	assert_int_equal(seq, 16);
	assert_state(saved, n, 16, 100);
	free(saved);
	assert_int_equal(journal_reader_open(w->dir, &r, &e), 0);
	assert_int_equal(journal_read_result(r, 7, 1, 2, &seq, &bytes, &n, &out, &out_n, &e), 0);
	assert_int_equal(seq, 20);
	assert_int_equal(out_n, 3);
	assert_memory_equal(out, "out", 3);
	journal_reader_close(r);
}

static void another_database_is_not_a_journal(void **state)
{
	struct world *w = *state;
	uint8_t junk[9000];
	char path[100];
	sqlite3 *db;
	struct err e;

	(void)snprintf(path, sizeof(path), "%s/journal.db", w->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(world_try_open(w, NULL, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	memset(junk, 'x', sizeof(junk));
	spill(w->dir, "journal.db", junk, sizeof(junk));
	assert_int_equal(world_try_open(w, NULL, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
}

/* ---- killed ---- */

static void add_for_ever(struct world *w, uint64_t *acknowledged, bool on_this_thread)
{
	struct journal_head h;

	world_open(w, &SMALL_LOG);
	journal_head(w->j, &h);
	for (uint64_t i = h.size;; i++) {
		assert_int_equal(world_add(w, i), i);
		if (on_this_thread)
			journal_flush_inline(w->j);
		else if (i % 3 == 0)
			journal_flush(w->j);
		journal_poll(w->j);
		if (w->durable > 0)
			__atomic_store_n(acknowledged, w->durable, __ATOMIC_SEQ_CST);
	}
}

static void killed_journal_has_all_that_it_acknowledged(void **state)
{
	struct world *w = *state;
	uint64_t *acknowledged = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct prng p;

	assert_ptr_not_equal(acknowledged, MAP_FAILED);
	prng_init(&p, 13);
	for (int round = 0; round < 12; round++) {
		uint64_t before = *acknowledged;
		struct timespec t = {.tv_nsec = (long)prng_below(&p, 40000000)};
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			add_for_ever(w, acknowledged, round & 1);
		while (__atomic_load_n(acknowledged, __ATOMIC_SEQ_CST) == before &&
		        waitpid(pid, NULL, WNOHANG) == 0)
			(void)usleep(200);
		(void)nanosleep(&t, NULL);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		world_open(w, &SMALL_LOG);
		assert_true(journal_durable(w->j) >= *acknowledged);
		assert_int_equal(world_replay(w, 0, UINT64_MAX), journal_durable(w->j));
		world_close(w);
	}
	assert_true(*acknowledged > 100);
	(void)munmap(acknowledged, 4096);
}

/* ---- full and failing disks ---- */

static void full_disk_loses_nothing_and_work_resumes(void **state)
{
	static const int sys[] = {ENOSPC, EDQUOT};
	static const enum fault_point point[] = {FAULT_WAL_WRITE, FAULT_WAL_SYNC};
	struct world *w = *state;
	uint64_t n = 0;

	world_open(w, &SMALL_LOG);
	for (int i = 0; i < 8; i++) {
		(void)world_add(w, n++);
		world_flush_wait(w);
		fault_arm(point[i & 1], 1 + (uint64_t)i / 2, sys[i >> 1 & 1], 0);
		while (!journal_full(w->j) && w->failures == 0) {
			(void)world_add(w, n++);
			if (i < 4)
				journal_flush(w->j);
			else
				journal_flush_inline(w->j);
			(void)world_poll(w, 1);
			assert_true(n < 100000);
		}
		(void)world_add(w, n++); /* what was already decided waits with the others */
		journal_flush(w->j);
		assert_true(w->durable < n);
		fault_disarm_all();
		world_flush_wait(w);
		while (w->durable < n)
			assert_true(world_poll(w, 20000));
		assert_false(journal_full(w->j));
		assert_int_equal(w->failures, 0);
	}
	assert_int_equal(world_replay(w, 0, UINT64_MAX), n);
	world_close(w);
	world_open(w, NULL);
	assert_int_equal(world_replay(w, 0, UINT64_MAX), n);
}

static void disk_without_room_for_the_database_fills_the_log_only(void **state)
{
	struct world *w = *state;
	uint64_t n = 0;

	world_open(w, &SMALL_LOG);
	fault_arm(FAULT_DB_WRITE, 1, ENOSPC, 0);
	while (!journal_full(w->j) && w->failures == 0) {
		(void)world_add(w, n++);
		journal_flush(w->j);
		journal_poll(w->j);
		assert_true(n < 1000000);
	}
	assert_true(w->durable > 0 && w->durable < n);
	fault_disarm_all();
	while (w->durable < n)
		assert_true(world_poll(w, 20000));
	assert_int_equal(world_replay(w, 0, UINT64_MAX), n);
}

static void closing_on_a_full_disk_does_not_hang(void **state)
{
	struct world *w = *state;

	world_open(w, &SMALL_LOG);
	(void)world_add(w, 0);
	world_flush_wait(w);
	fault_arm(FAULT_WAL_WRITE, 1, ENOSPC, 0);
	(void)world_add(w, 1);
	world_close(w);
	fault_disarm_all();
	world_open(w, NULL);
	assert_int_equal(world_replay(w, 0, UINT64_MAX), 1);
}

static void failing_disk_is_told_once_and_acknowledges_nothing(void **state)
{
	static const enum fault_point point[] = {FAULT_WAL_WRITE, FAULT_WAL_SYNC};
	struct world *w = *state;

	for (int i = 0; i < 4; i++) {
		uint64_t kept;

		world_open(w, NULL);
		kept = journal_durable(w->j);
		assert_int_equal(world_add(w, kept), kept);
		world_flush_wait(w);
		kept++;
		fault_arm(point[i & 1], 1, EIO, 0);
		(void)world_add(w, kept);
		if (i & 2)
			journal_flush_inline(w->j);
		else
			world_flush_wait(w);
		assert_int_equal(w->failures, 1);
		assert_int_equal(w->failure.code, ERR_SYSTEM);
		assert_int_equal(w->durable, kept);
		(void)world_add(w, kept + 1);
		journal_flush(w->j);
		journal_flush_inline(w->j);
		assert_false(world_poll(w, 20) && w->failures > 1);
		assert_int_equal(w->durable, kept);
		fault_disarm_all();
		world_close(w);
		world_open(w, NULL);
		assert_true(journal_durable(w->j) >= kept);
		assert_int_equal(world_replay(w, 0, UINT64_MAX), journal_durable(w->j));
		world_close(w);
	}
}

static void failing_checkpoint_is_told_and_loses_nothing(void **state)
{
	static const enum fault_point point[] = {FAULT_DB_WRITE, FAULT_DB_SYNC};
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		uint64_t kept, n;

		world_open(w, &SMALL_LOG);
		n = journal_durable(w->j);
		fault_arm(point[i], 1, EIO, 0);
		while (w->failures == 0) {
			(void)world_add(w, n++);
			journal_flush(w->j);
			(void)world_poll(w, 1);
			assert_true(n < 100000);
		}
		assert_int_equal(w->failure.code, ERR_SYSTEM);
		kept = w->durable;
		assert_true(kept > 0);
		fault_disarm_all();
		world_close(w);
		world_open(w, &SMALL_LOG);
		assert_true(journal_durable(w->j) >= kept);
		assert_int_equal(world_replay(w, 0, UINT64_MAX), journal_durable(w->j));
		world_close(w);
	}
}

static void idle_journal_moves_its_log_and_then_sleeps(void **state)
{
	struct world *w = *state;
	struct journal_stats s;
	time_t give_up = time(NULL) + 30;

	world_open(w, &SMALL_LOG);
	for (uint64_t i = 0; i < 300; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
	do {
		journal_stats(w->j, &s);
		assert_true(time(NULL) < give_up);
		(void)poll(NULL, 0, 1);
	} while (s.wal_bytes > 0);
	assert_int_equal(s.entries, 300);
}

static void snapshot_that_cannot_be_written_leaves_the_older_one(void **state)
{
	static const enum fault_point point[] = {FAULT_SNAPSHOT_WRITE, FAULT_SNAPSHOT_SYNC};
	struct world *w = *state;

	world_open(w, NULL);
	(void)world_add(w, 0);
	world_flush_wait(w);
	world_snapshot(w, 100);
	for (int i = 0; i < 2; i++) {
		struct journal_snapshot *s;
		struct journal_head h;
		struct err e = {0};

		(void)world_add(w, (uint64_t)i + 1);
		world_flush_wait(w);
		journal_head(w->j, &h);
		fault_arm(point[i], 1, ENOSPC, 1);
		assert_int_equal(journal_snapshot_begin(w->j, h.size, &s, &e), 0);
		(void)journal_snapshot_put(s, "state", 5);
		assert_int_equal(journal_snapshot_end(s, true, &e), -1);
		assert_int_equal(e.sys, ENOSPC);
	}
	assert_int_equal(count_files(w, "snapshot-"), 1);
	assert_int_equal(count_files(w, "snapshot-1"), 1);
}

static void folder_that_may_not_be_written_is_named(void **state)
{
	struct world *w = *state;
	bool root = geteuid() == 0;
	struct err e = {0};
	int rc;

	assert_int_equal(chmod(w->dir, 0555), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	rc = world_try_open(w, NULL, &e);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(w->dir, 0700), 0);
	assert_int_equal(rc, -1);
	if (e.code != ERR_DENIED)
		fail_msg("%s: %s", err_code_name(e.code), e.msg);
	assert_non_null(strstr(e.msg, w->dir));
	assert_true(e.hint[0] != '\0');
	assert_int_equal(journal_open("/nonexistent", NULL, &w->j, &e), -1);
	assert_int_equal(e.sys, ENOENT);
}

static void misspelt_fault_is_refused(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(fault_parse("wal_write:3:ENOSPC:10,db_sync:1:EIO", &e), 0);
	fault_disarm_all();
	assert_int_equal(fault_parse("wal_write:0:ENOSPC", &e), -1);
	assert_int_equal(fault_parse("wal_right:1:ENOSPC", &e), -1);
	assert_int_equal(fault_parse("wal_write:1:EWHAT", &e), -1);
	fault_disarm_all();
	fault_arm(FAULT_DB_SYNC, 2, EIO, 2);
	assert_int_equal(fault_hit(FAULT_DB_SYNC), 0);
	assert_int_equal(fault_hit(FAULT_DB_SYNC), EIO);
	assert_int_equal(fault_hit(FAULT_DB_SYNC), EIO);
	assert_int_equal(fault_hit(FAULT_DB_SYNC), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        fact(log_cut_at_any_byte_opens_with_a_prefix),
	        fact(garbage_in_the_log_opens_with_a_prefix),
	        fact(database_cut_at_any_byte_is_refused_or_a_prefix),
	        fact(damaged_database_is_refused_or_right),
	        fact(missing_database_beside_its_remains_is_refused),
	        fact(journal_that_ends_before_its_snapshot_is_refused),
	        fact(damaged_snapshot_is_skipped_for_an_older_one),
	        fact(journal_of_a_newer_osier_is_refused),
	        fact(journal_of_format_1_still_opens),
	        fact(another_database_is_not_a_journal),
	        fact(killed_journal_has_all_that_it_acknowledged),
	        fact(full_disk_loses_nothing_and_work_resumes),
	        fact(disk_without_room_for_the_database_fills_the_log_only),
	        fact(closing_on_a_full_disk_does_not_hang),
	        fact(failing_disk_is_told_once_and_acknowledges_nothing),
	        fact(failing_checkpoint_is_told_and_loses_nothing),
	        fact(idle_journal_moves_its_log_and_then_sleeps),
	        fact(snapshot_that_cannot_be_written_leaves_the_older_one),
	        fact(folder_that_may_not_be_written_is_named),
	        fact(misspelt_fault_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
