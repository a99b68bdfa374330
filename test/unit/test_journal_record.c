/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_journal_record - facts about a journal in PostgreSQL: its fence, lost connections, standbys. With OSIER_TEST_RECORD (a server's
 * URL, see journal_help.h; test/e2e/journal_on_record.sh gives one); without it only what needs no server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "io/pg.h"
#include "io/record.h"
#include "journal_help.h"

static void sql(struct world *w, const char *text)
{
	struct pg *c;
	struct err e;

	if (pg_open(w->record, 10000, &c, &e) < 0 || pg_script(c, text, &e) < 0)
		fail_msg("%s", e.msg);
	pg_close(c);
}

/* Another machine: a folder of its own, the same record. */
static struct world *beside(struct world *w)
{
	void *other;

	assert_int_equal(world_set_up(&other), 0);
	memcpy(((struct world *)other)->record, w->record, sizeof(w->record));
	return other;
}

static void leave(struct world *other)
{
	void *state = other;

	(void)world_tear_down(&state);
}

static void entries_of_a_record_are_whole(struct world *w, uint64_t n)
{
	assert_int_equal(world_replay(w, 0, UINT64_MAX), n);
}

static void record_that_is_held_is_refused_by_its_holder(void **state)
{
	struct world *w = *state, *other;
	struct err e;

	other = beside(w);
	world_open(w, NULL);
	assert_int_equal(world_try_open(other, NULL, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_non_null(strstr(e.msg, w->dir));
	assert_non_null(strstr(e.hint, "--standby"));
	world_close(w); /* lets it go */
	world_open(other, NULL);
	world_close(other);
	leave(other);
}

static void killed_engine_has_its_record_again_at_once(void **state)
{
	struct world *w = *state;
	struct journal *dead;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 10; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
	dead = w->j;
	journal_keep_record(dead); /* as who dies does */
	world_close(w);
	world_open(w, NULL);
	entries_of_a_record_are_whole(w, 10);
}

/* The other gets the record, as if its holder had been away; who is not, renews its hold whenever it likes, and then it is said again. */
static void replace(struct world *w, struct world *other)
{
	struct err e;

	for (unsigned tries = 0; tries < 100; tries++) {
		sql(w, "UPDATE head SET renewed = clock_timestamp() - interval '7 s'");
		if (world_try_open(other, NULL, &e) == 0)
			return;
		assert_int_equal(e.code, ERR_EXISTS);
	}
	fail_msg("%s", e.msg);
}

static void engine_that_lost_its_fence_adds_nothing(void **state)
{
	struct world *w = *state, *other;

	other = beside(w);
	world_open(w, NULL);
	for (uint64_t i = 0; i < 5; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
	replace(w, other);
	(void)world_add(w, 5);
	world_flush_wait(w);
	assert_int_equal(w->durable, 5);
	assert_int_equal(w->failures, 1);
	assert_int_equal(w->failure.code, ERR_FENCED);
	for (uint64_t i = 5; i < 8; i++)
		assert_int_equal(world_add(other, i), i);
	world_flush_wait(other);
	assert_int_equal(other->durable, 8);
	entries_of_a_record_are_whole(other, 8);
	leave(other);
}

static void idle_engine_learns_that_it_lost_its_fence(void **state)
{
	struct world *w = *state, *other;
	time_t give_up = time(NULL) + 30;

	other = beside(w);
	world_open(w, NULL);
	replace(w, other);
	while (w->failures == 0) {
		assert_true(time(NULL) < give_up);
		(void)world_poll(w, 1000);
	}
	assert_int_equal(w->failure.code, ERR_FENCED);
	leave(other);
}

struct axe {
	struct world *w;
	atomic_bool stop;
	atomic_uint batches; /* done */
	unsigned blows;
};

static void *cut_connections(void *axe)
{
	struct axe *a = axe;
	unsigned done = 0, in_vain = 0;
	struct pg *c;
	struct err e;

	if (pg_open(a->w->record, 10000, &c, &e) < 0)
		return NULL;
	while (!atomic_load(&a->stop)) {
		a->blows += pg_script(c,
		                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
		                    "pg_backend_pid() AND"
		                    " application_name = 'osier'",
		                    &e) == 0;
		/* A machine that needs longer than that for a commit gets longer, until it comes to one. */
		in_vain = atomic_load(&a->batches) == done && in_vain < 8 ? in_vain + 1 : 0;
		done = atomic_load(&a->batches);
		(void)nanosleep(&(struct timespec){.tv_nsec = 3000000l << in_vain}, NULL);
	}
	pg_close(c);
	return NULL;
}

/* At any moment: before a commit, in it, after it and before its answer. */
static void cut_connections_lose_nothing_and_double_nothing(void **state)
{
	struct world *w = *state;
	struct axe a = {.w = w};
	struct journal_head head, again;
	uint64_t n = 0;
	pthread_t thread;

	world_open(w, NULL);
	assert_int_equal(pthread_create(&thread, NULL, cut_connections, &a), 0);
	for (int batch = 0; batch < 150; batch++) {
		for (int i = 0; i < 1 + batch % 40; i++)
			assert_int_equal(world_add(w, n), n), n++;
		world_flush_wait(w);
		assert_int_equal(w->failures, 0);
		assert_int_equal(w->durable, n);
		atomic_fetch_add(&a.batches, 1);
	}
	atomic_store(&a.stop, true);
	(void)pthread_join(thread, NULL);
	assert_true(a.blows > 5);
	journal_head(w->j, &head);
	world_close(w);
	world_open(w, NULL);
	journal_head(w->j, &again);
	assert_int_equal(again.size, n);
	assert_memory_equal(head.root, again.root, 32);
	entries_of_a_record_are_whole(w, n);
}

static void batch_of_many_megabytes_is_whole_or_not_there(void **state)
{
	struct world *w = *state;
	static uint8_t big[300 << 10];
	struct journal_stats s;

	world_open(w, NULL);
	for (int i = 0; i < 20; i++) {
		memset(big, i, sizeof(big));
		(void)journal_add(w->j, big, sizeof(big), NULL);
	}
	world_flush_wait(w);
	journal_stats(w->j, &s);
	assert_int_equal(s.commits, 1);
	assert_int_equal(s.entries, 20);
}

/* ---- standbys ---- */

struct standby {
	struct journal *j;
	uint64_t seen;
	bool primary;
};

static int on_entry(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e)
{
	struct standby *s = ctx;

	(void)e;
	assert_int_equal(seq, s->seen);
	assert_entry(bytes, n, seq);
	s->seen++;
	return 0;
}

static void on_primary(void *ctx)
{
	((struct standby *)ctx)->primary = true;
}

static void standby_open(struct standby *s, struct world *w)
{
	struct journal_options o = {.record = w->record,
	        .standby = true,
	        .on_entry = on_entry,
	        .on_primary = on_primary,
	        .ctx = s};
	struct err e;

	if (journal_open(w->dir, &o, &s->j, &e) < 0)
		fail_msg("%s", e.msg);
	s->seen = journal_durable(s->j);
}

static void standby_wait(struct standby *s, uint64_t seen, bool primary)
{
	time_t give_up = time(NULL) + 60;

	while (s->seen < seen || s->primary != primary) {
		struct pollfd p = {.fd = journal_fd(s->j), .events = POLLIN};

		assert_true(time(NULL) < give_up);
		(void)poll(&p, 1, 1000);
		journal_poll(s->j);
	}
}

static void standby_follows_and_takes_over(void **state)
{
	struct world *w = *state, *other;
	struct standby s = {0};
	struct journal_head a, b;
	uint64_t n = 0;

	other = beside(w);
	world_open(w, NULL);
	for (; n < 100; n++)
		(void)world_add(w, n);
	world_flush_wait(w);
	standby_open(&s, other);
	assert_true(journal_is_standby(s.j));
	assert_int_equal(s.seen, 100);
	for (; n < 2000; n++) {
		(void)world_add(w, n);
		if (n % 100 == 99)
			world_flush_wait(w);
	}
	world_flush_wait(w);
	standby_wait(&s, 2000, false);
	journal_head(w->j, &a);
	journal_head(s.j, &b);
	assert_memory_equal(a.root, b.root, 32);
	world_close(w);
	standby_wait(&s, 2000, true);
	assert_false(journal_is_standby(s.j));
	other->j = s.j;
	for (; n < 2010; n++)
		assert_int_equal(world_add(other, n), n);
	journal_close(other->j);
	world_open(other, NULL);
	entries_of_a_record_are_whole(other, 2010);
	leave(other);
}

static void one_of_many_standbys_takes_over(void **state)
{
	struct world *w = *state, *other[3];
	struct standby s[3] = {{0}};
	time_t give_up = time(NULL) + 60;
	int primaries = 0;

	world_open(w, NULL);
	(void)world_add(w, 0);
	world_flush_wait(w);
	for (int i = 0; i < 3; i++)
		standby_open(&s[i], other[i] = beside(w));
	journal_keep_record(w->j);
	world_close(w); /* as one that is killed: its time must be over first */
	while (primaries == 0) {
		assert_true(time(NULL) < give_up);
		for (int i = 0; i < 3; i++) {
			struct pollfd p = {.fd = journal_fd(s[i].j), .events = POLLIN};

			(void)poll(&p, 1, 50);
			journal_poll(s[i].j);
			primaries += s[i].primary;
		}
	}
	for (int k = 0; k < 20; k++) /* each has another look or two */
		for (int i = 0; i < 3; i++) {
			struct pollfd p = {.fd = journal_fd(s[i].j), .events = POLLIN};

			(void)poll(&p, 1, 50);
			journal_poll(s[i].j);
		}
	assert_int_equal(s[0].primary + s[1].primary + s[2].primary, 1);
	for (int i = 0; i < 3; i++) {
		journal_close(s[i].j);
		leave(other[i]);
	}
}

/* History is dropped only behind a snapshot that lies in the record, too: who has none of its own begins there. */
static void standby_begins_after_dropped_history(void **state)
{
	struct world *w = *state, *other;
	struct standby s = {0};
	struct journal_stats stats;
	struct err e;
	uint8_t *bytes;
	uint64_t seq;
	size_t n;
	time_t give_up = time(NULL) + 30;

	other = beside(w);
	world_open(w, NULL);
	for (uint64_t i = 0; i < 3000; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
	world_snapshot(w, 3 << 20); /* of several parts */
	assert_int_equal(journal_drop_history(w->j, 2900, &e), 0);
	(void)world_add(w, 3000);
	world_flush_wait(w);
	do {
		assert_true(time(NULL) < give_up);
		journal_stats(w->j, &stats);
	} while (stats.db_bytes > 190 * 1000 + 3000 * 40);
	standby_open(&s, other);
	assert_int_equal(s.seen, 3001);
	assert_int_equal(journal_snapshot_load(s.j, UINT64_MAX, &bytes, &n, &seq, &e), 0);
	assert_int_equal(seq, 3000);
	assert_state(bytes, n, 3000, 3 << 20);
	free(bytes);
	(void)world_add(w, 3001);
	world_flush_wait(w);
	standby_wait(&s, 3002, false);
	journal_close(s.j);
	leave(other);
}

/* ---- what needs no server ---- */

static void url_with_a_mistake_is_refused_without_its_password(void **state)
{
	static const char *const bad[] = {"postgres://u:s3cret@[host/db",
	        "postgres://u:s3cret@host/db?nonsense", "postgres://u:s3cret@host/db?schema=UPPER",
	        "mysql://u:s3cret@host/db", "postgres://u:s3cret@host/db?schema="};
	struct err e;
	char place[PG_PLACE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(pg_url_check(bad[i], &e), -1);
		assert_null(strstr(e.msg, "s3cret"));
		assert_null(strstr(e.hint, "s3cret"));
	}
	assert_int_equal(
	        pg_url_check("postgres://u:s3cret@host:5433/db?schema=hub_1&sslmode=verify-full", &e), 0);
	pg_url_place("postgres://u:s3cret@host:5433/db?schema=hub_1", place);
	assert_string_equal(place, "postgres://host:5433/db");
}

static void server_that_is_away_is_told_without_the_password(void **state)
{
	struct world *w = *state;
	struct journal_options o = {.record = "postgres://u:s3cret@127.0.0.1:1/db"};
	struct journal *j;
	struct err e;

	assert_int_equal(journal_open(w->dir, &o, &j, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
	assert_null(strstr(e.msg, "s3cret"));
	assert_non_null(strstr(e.msg, "127.0.0.1:1"));
	assert_int_equal(count_files(w, "journal"), 0);
}

static void folder_keeps_where_its_record_is(void **state)
{
	struct world *w = *state;
	struct record r = {.url = "postgres://u:s3cret@host/db", .standby = true}, back;
	struct stat st;
	struct err e;
	char path[100];
	bool found;

	assert_int_equal(record_load(w->dir, &back, &found, &e), 0);
	assert_false(found);
	assert_int_equal(record_save(w->dir, &r, &e), 0);
	assert_int_equal(record_load(w->dir, &back, &found, &e), 0);
	assert_true(found);
	assert_string_equal(back.url, r.url);
	assert_true(back.standby);
	assert_string_equal(back.holder, r.holder);
	(void)snprintf(path, sizeof(path), "%s/record", w->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* The same file in another folder is another holder. */
	assert_int_equal(record_own("/", &back, &e), 0);
	assert_string_equal(back.holder, "");
	assert_int_equal(record_remove(w->dir, &e), 0);
	assert_int_equal(record_load(w->dir, &back, &found, &e), 0);
	assert_false(found);
}

static void folder_with_a_journal_of_its_own_takes_no_record(void **state)
{
	struct world *w = *state;
	struct journal_options o = {.record = "postgres://host/db"};
	struct journal *j;
	struct err e;

	w->record[0] = '\0';
	world_open(w, NULL);
	world_close(w);
	assert_int_equal(journal_open(w->dir, &o, &j, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_non_null(strstr(e.hint, "journal move"));
	world_open(w, NULL);
}

int main(void)
{
	const struct CMUnitTest with_server[] = {
	        fact(record_that_is_held_is_refused_by_its_holder),
	        fact(killed_engine_has_its_record_again_at_once),
	        fact(engine_that_lost_its_fence_adds_nothing),
	        fact(idle_engine_learns_that_it_lost_its_fence),
	        fact(cut_connections_lose_nothing_and_double_nothing),
	        fact(batch_of_many_megabytes_is_whole_or_not_there),
	        fact(standby_follows_and_takes_over),
	        fact(one_of_many_standbys_takes_over),
	        fact(standby_begins_after_dropped_history),
	};
	const struct CMUnitTest without[] = {
	        fact(url_with_a_mistake_is_refused_without_its_password),
	        fact(server_that_is_away_is_told_without_the_password),
	        fact(folder_keeps_where_its_record_is),
	        fact(folder_with_a_journal_of_its_own_takes_no_record),
	};

	return getenv("OSIER_TEST_RECORD") ? cmocka_run_group_tests(with_server, NULL, NULL)
	                                   : cmocka_run_group_tests(without, NULL, NULL);
}
