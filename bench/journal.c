/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-journal - what a durable commit costs beside a bare 4 KiB write + fdatasync on the same disk, and how many
 * entries go in batches. Prints one JSON object. bench-journal [FOLDER [COMMITS [URL]]]. With the URL of a record (PostgreSQL, an empty
 * schema) the journal lies there, and the bare write is still this machine's.
 *
 * The bare write goes round in a file that was written out before, so neither side pays for file system metadata. The two are
 * measured in turns, so that both see the same disk.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "io/journal.h"

#define FILE_BYTES (4 << 20)
#define TURN       50 /* commits of one kind before the other kind's turn */

struct run {
	struct journal *j;
	const char *record;
	char dir[256];
	uint64_t durable;
	uint64_t added;
	int fd;
	off_t at;
};

struct samples {
	uint64_t *ns;
	size_t n;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_durable(void *ctx, uint64_t last_seq)
{
	struct run *r = ctx;

	r->durable = last_seq + 1;
}

static void on_failed(void *ctx, const struct err *e)
{
	(void)ctx;
	(void)fprintf(stderr, "bench-journal: %s\n", e->msg);
	exit(1);
}

static void wait_durable(struct run *r)
{
	while (r->durable < r->added) {
		struct pollfd p = {.fd = journal_fd(r->j), .events = POLLIN};

		(void)poll(&p, 1, -1);
		journal_poll(r->j);
	}
}

static void add(struct run *r, size_t n, const struct journal_index *index)
{
	static uint8_t bytes[64 << 10];

	CHECK(n <= sizeof(bytes));
	memcpy(bytes, &r->added, sizeof(r->added));
	(void)journal_add(r->j, bytes, n, index);
	r->added++;
}

static void bare(struct run *r)
{
	static uint8_t page[4096];

	if (pwrite(r->fd, page, sizeof(page), r->at) != sizeof(page) || fdatasync(r->fd) < 0)
		exit(1);
	r->at = (r->at + 4096) % FILE_BYTES;
}

static void commit(struct run *r, bool on_this_thread)
{
	add(r, 200, NULL);
	if (on_this_thread)
		journal_flush_inline(r->j);
	else
		journal_flush(r->j);
	wait_durable(r);
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double quantile_us(struct samples *s, double q)
{
	qsort(s->ns, s->n, sizeof(*s->ns), by_time);
	return (double)s->ns[(size_t)((double)(s->n - 1) * q)] / 1000.0;
}

static void singles(struct run *r, size_t commits)
{
	static const char *const name[3] = {"bare_write_fdatasync", "commit_thread", "commit_inline"};
	struct samples s[3] = {{0}};
	double p50[3];

	for (int k = 0; k < 3; k++) {
		s[k].ns = calloc(commits, sizeof(uint64_t));
		CHECK(s[k].ns);
	}
	while (s[2].n < commits) {
		for (int k = 0; k < 3; k++) {
			for (size_t i = 0; i < TURN && s[k].n < commits; i++) {
				uint64_t begin = now_ns();

				if (k == 0)
					bare(r);
				else
					commit(r, k == 2);
				s[k].ns[s[k].n++] = now_ns() - begin;
			}
		}
	}
	for (int k = 0; k < 3; k++) {
		p50[k] = quantile_us(&s[k], 0.5);
		printf("  \"%s\": {\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f},\n", name[k], p50[k],
		        quantile_us(&s[k], 0.99), quantile_us(&s[k], 1.0));
		free(s[k].ns);
	}
	printf("  \"commit_thread_ratio\": %.2f,\n  \"commit_inline_ratio\": %.2f,\n", p50[1] / p50[0],
	        p50[2] / p50[0]);
}

/* `entries` of n bytes, flushed every `each` as a loop does, never more than 8 MiB ahead of the disk. */
static void batches(struct run *r, const char *name, size_t entries, size_t n, size_t each, uint64_t tasks)
{
	uint64_t begin = now_ns(), cpu = cpu_ns();
	double s, busy;

	for (size_t i = 0; i < entries; i++) {
		struct journal_index x = {.job = 1, .first = i * tasks, .count = tasks};

		add(r, n, tasks ? &x : NULL);
		if (i % each == each - 1)
			journal_flush(r->j);
		while (journal_backlog_bytes(r->j) > 8u << 20) {
			struct pollfd p = {.fd = journal_fd(r->j), .events = POLLIN};

			(void)poll(&p, 1, -1);
			journal_poll(r->j);
		}
	}
	journal_flush(r->j);
	wait_durable(r);
	s = (double)(now_ns() - begin) / 1e9;
	busy = (double)(cpu_ns() - cpu) / 1e9;
	printf("  \"%s\": {\"entries_per_s\": %.0f, \"tasks_per_s\": %.0f, \"cpu_us_per_entry\": %.2f, "
	       "\"s\": %.2f},\n",
	        name, (double)entries / s, (double)entries * (double)tasks / s, busy * 1e6 / (double)entries,
	        s);
}

static int count_one(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e)
{
	(void)seq;
	(void)bytes;
	(void)e;
	*(uint64_t *)ctx += n > 0;
	return 0;
}

static uint64_t count(struct run *r, double *out_s)
{
	uint64_t n = 0, begin = now_ns();
	struct err e;

	if (journal_replay(r->j, 0, UINT64_MAX, count_one, &n, &e) < 0)
		on_failed(NULL, &e);
	*out_s = (double)(now_ns() - begin) / 1e9;
	return n;
}

static void start(struct run *r)
{
	struct journal_options o = {
	        .record = r->record, .on_durable = on_durable, .on_failed = on_failed, .ctx = r};
	struct err e;

	if (journal_open(r->dir, &o, &r->j, &e) < 0)
		on_failed(NULL, &e);
}

static long anonymous_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		(void)sscanf(line, "RssAnon: %ld", &n);
	if (f)
		(void)fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	struct run r = {.record = argc > 3 ? argv[3] : NULL};
	size_t commits = argc > 2 ? (size_t)atol(argv[2]) : 2000;
	uint8_t zeros[4096] = {0};
	char path[300], cmd[300];
	double open_s, replay_s;
	uint64_t n, begin;
	long before;

	(void)snprintf(r.dir, sizeof(r.dir), "%s/osier-bench-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
	if (!mkdtemp(r.dir))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/bare", r.dir);
	r.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (off_t at = 0; at < FILE_BYTES; at += 4096)
		if (pwrite(r.fd, zeros, sizeof(zeros), at) < 0)
			return 1;
	(void)fsync(r.fd);
	before = anonymous_kib();
	start(&r);
	printf("{\n  \"anonymous_kib_of_an_open_journal\": %ld,\n", anonymous_kib() - before);
	singles(&r, commits);
	batches(&r, "batches_of_100_x_400_bytes", 200000, 400, 100, 0);
	batches(&r, "indexed_100_x_400_bytes", 200000, 400, 100, 1);
	batches(&r, "results_of_4000_tasks", 500, 40000, 4, 4000);
	journal_close(r.j);
	begin = now_ns();
	start(&r);
	open_s = (double)(now_ns() - begin) / 1e9;
	n = count(&r, &replay_s);
	printf("  \"entries\": %llu, \"open_s\": %.3f, \"replay_s\": %.3f\n}\n", (unsigned long long)n,
	        open_s, replay_s);
	journal_close(r.j);
	(void)close(r.fd);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", r.dir);
	return system(cmd) != 0;
}
