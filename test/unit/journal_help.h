/* SPDX-License-Identifier: Apache-2.0 */
/* journal_help - a journal in a folder of its own, for the tests of the journal. Included once per program. */
#ifndef OSIER_TEST_JOURNAL_HELP_H
#define OSIER_TEST_JOURNAL_HELP_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fault.h"
#include "io/journal.h"

#define ENTRY_MOST 700
#define fact(f)    cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
#define MAYBE      __attribute__((unused))

struct world {
	char dir[64];
	char record[600]; /* the URL of its record; "": the rows lie in the folder */
	struct journal *j;
	uint64_t durable; /* entries, by on_durable() */
	int failures;
	struct err failure;
};

/* Entry i: its number, then bytes that depend on it; from 8 to some 700 of them. */
static MAYBE size_t make_entry(uint64_t i, uint8_t out[ENTRY_MOST])
{
	size_t n = 8 + (size_t)(i * 37 % 600);

	memcpy(out, &i, 8);
	for (size_t k = 8; k < n; k++)
		out[k] = (uint8_t)(i + k);
	return n;
}

static MAYBE void assert_entry(const uint8_t *bytes, size_t n, uint64_t i)
{
	uint8_t want[ENTRY_MOST];

	assert_int_equal(n, make_entry(i, want));
	assert_memory_equal(bytes, want, n);
}

static void note_durable(void *ctx, uint64_t last_seq)
{
	struct world *w = ctx;

	assert_true(last_seq + 1 > w->durable);
	w->durable = last_seq + 1;
}

static void note_failed(void *ctx, const struct err *e)
{
	struct world *w = ctx;

	w->failures++;
	w->failure = *e;
}

static MAYBE int world_try_open(struct world *w, const struct journal_options *like, struct err *e)
{
	struct journal_options o = like ? *like : (struct journal_options){0};

	o.record = w->record[0] ? w->record : NULL;
	o.on_durable = note_durable;
	o.on_failed = note_failed;
	o.ctx = w;
	w->durable = 0;
	w->failures = 0;
	return journal_open(w->dir, &o, &w->j, e);
}

static MAYBE void world_open(struct world *w, const struct journal_options *like)
{
	struct err e = {0};

	if (world_try_open(w, like, &e) < 0)
		fail_msg("%s", e.msg);
}

static MAYBE void world_close(struct world *w)
{
	journal_close(w->j);
	w->j = NULL;
}

static MAYBE uint64_t world_add(struct world *w, uint64_t i)
{
	uint8_t bytes[ENTRY_MOST];

	return journal_add(w->j, bytes, make_entry(i, bytes), NULL);
}

/* Wait for the next report, no longer than ms. */
static MAYBE bool world_poll(struct world *w, int ms)
{
	struct pollfd p = {.fd = journal_fd(w->j), .events = POLLIN};
	bool ready = poll(&p, 1, ms) == 1;

	if (ready)
		journal_poll(w->j);
	return ready;
}

static MAYBE void world_flush_wait(struct world *w)
{
	struct journal_head h;

	journal_flush(w->j);
	journal_head(w->j, &h);
	while (w->durable < h.size && w->failures == 0)
		assert_true(world_poll(w, 20000));
}

struct replayed {
	uint64_t next, n;
};

static int check_replayed(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e)
{
	struct replayed *r = ctx;

	(void)e;
	assert_int_equal(seq, r->next);
	assert_entry(bytes, n, seq);
	r->next++;
	r->n++;
	return 0;
}

/* How many entries came, each the one it must be. */
static MAYBE uint64_t world_replay(struct world *w, uint64_t from, uint64_t to)
{
	struct replayed r = {.next = from};
	struct err e = {0};

	if (journal_replay(w->j, from, to, check_replayed, &r, &e) < 0)
		fail_msg("%s", e.msg);
	return r.n;
}

static MAYBE void world_snapshot(struct world *w, size_t bytes)
{
	struct journal_snapshot *s;
	struct journal_head h;
	struct err e;

	journal_head(w->j, &h);
	assert_int_equal(journal_snapshot_begin(w->j, h.size, &s, &e), 0);
	for (size_t i = 0; i < bytes; i++) {
		uint8_t b = (uint8_t)(h.size + i);

		assert_int_equal(journal_snapshot_put(s, &b, 1), 0);
	}
	assert_int_equal(journal_snapshot_end(s, true, &e), 0);
}

static MAYBE void assert_state(const uint8_t *bytes, size_t n, uint64_t seq, size_t want)
{
	assert_int_equal(n, want);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bytes[i], (uint8_t)(seq + i));
}

/* Files in the folder whose names begin so. */
static MAYBE int count_files(struct world *w, const char *prefix)
{
	DIR *d = opendir(w->dir);
	struct dirent *entry;
	int n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)))
		n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	(void)closedir(d);
	return n;
}

struct order {
	uint64_t n, last;
};

static MAYBE int rising(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n)
{
	struct order *o = ctx;

	assert_true(o->n == 0 || seq > o->last);
	assert_entry(bytes, n, seq);
	o->last = seq;
	o->n++;
	return 0;
}

static MAYBE void empty_folder(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(d), entry->d_name, 0);
	}
	if (d)
		(void)closedir(d);
}

static unsigned worlds;

static MAYBE int world_set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	(void)snprintf(w->dir, sizeof(w->dir), "%s/osier-test-XXXXXX",
	        access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	/* OSIER_TEST_RECORD: a PostgreSQL's URL up to the schema's name; each world has one of its own. */
	if (getenv("OSIER_TEST_RECORD"))
		(void)snprintf(w->record, sizeof(w->record), "%s_%d_%u", getenv("OSIER_TEST_RECORD"),
		        (int)getpid(), ++worlds);
	*state = w;
	return 0;
}

static MAYBE int world_tear_down(void **state)
{
	struct world *w = *state;

	fault_disarm_all();
	journal_close(w->j);
	empty_folder(w->dir);
	(void)rmdir(w->dir);
	free(w);
	return 0;
}

#endif
