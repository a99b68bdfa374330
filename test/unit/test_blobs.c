/* SPDX-License-Identifier: Apache-2.0 */
/* test_blobs - facts about the content-addressed store and the queue in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/blobs.h"
#include "io/disk.h"
#include "io/fault.h"
#include "io/hashq.h"
#include "io/sha256.h"

#define fact(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define ABC     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

struct world {
	char dir[64], path[128];
	struct blobs *b;
};

static void open_with(struct world *w, const struct blobs_limits *l)
{
	struct err e = {0};

	blobs_close(w->b);
	w->b = NULL;
	if (blobs_open(w->dir, l, &w->b, &e) < 0)
		fail_msg("%s", e.msg);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	(void)snprintf(w->dir, sizeof(w->dir), "%s/osier-test-XXXXXX",
	        access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->path, sizeof(w->path), "%s/spool", w->dir);
	open_with(w, NULL);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char cmd[128];

	fault_disarm_all();
	blobs_close(w->b);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->dir);
	assert_int_equal(system(cmd), 0);
	free(w);
	return 0;
}

static void write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	(void)close(fd);
}

static void assert_blob(struct world *w, const uint8_t digest[32], const void *p, size_t n)
{
	const uint8_t *bytes;
	size_t got;
	struct err e = {0};

	if (blobs_map(w->b, digest, &bytes, &got, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(got, n);
	assert_memory_equal(bytes, p, n);
	blobs_unmap(bytes, got);
	assert_int_equal(blobs_verify(w->b, digest, &e), 0);
}

static void stored_bytes_are_found_by_their_sha256(void **state)
{
	struct world *w = *state;
	uint8_t digest[32], empty[32];
	char hex[65], path[200], want[200];
	struct err e;

	assert_int_equal(blobs_put(w->b, "abc", 3, digest, &e), 0);
	sha256_hex(digest, hex);
	assert_string_equal(hex, ABC);
	assert_blob(w, digest, "abc", 3);
	assert_int_equal(blobs_put(w->b, "", 0, empty, &e), 0);
	assert_blob(w, empty, "", 0);
	assert_true(blobs_path(w->b, digest, path, sizeof(path)));
	(void)snprintf(want, sizeof(want), "%s/blobs/ba/%s", w->dir, &ABC[2]);
	assert_string_equal(path, want);
	assert_false(blobs_path(w->b, digest, path, strlen(want)));
	assert_int_equal(access(want, R_OK), 0);
	digest[0] ^= 1;
	assert_false(blobs_has(w->b, digest, NULL));
	assert_int_equal(blobs_verify(w->b, digest, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
}

static void storing_twice_keeps_one(void **state)
{
	struct world *w = *state;
	struct blobs_usage u;
	uint8_t digest[32];
	struct err e;

	assert_int_equal(blobs_usage(w->b, &u, &e), 0);
	assert_int_equal(u.blobs, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(blobs_put(w->b, "abc", 3, digest, &e), 0);
	assert_int_equal(blobs_usage(w->b, &u, &e), 0);
	assert_int_equal(u.blobs, 1);
	assert_int_equal(u.bytes, 3);
	open_with(w, NULL);
	assert_int_equal(blobs_usage(w->b, &u, &e), 0);
	assert_int_equal(u.bytes, 3);
}

static void bytes_that_are_not_what_was_said_are_refused(void **state)
{
	struct world *w = *state;
	struct blob_writer *bw;
	uint8_t must[32], digest[32];
	struct err e;

	assert_int_equal(sha256_unhex(ABC, must), 0);
	assert_int_equal(blob_begin(w->b, 3, &bw, &e), 0);
	assert_int_equal(blob_write(bw, "abd", 3, &e), 0);
	assert_int_equal(blob_end(bw, must, digest, NULL, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_non_null(strstr(e.msg, ABC));
	assert_false(blobs_has(w->b, must, NULL));
	assert_int_equal(blob_begin(w->b, 4, &bw, &e), 0); /* too few */
	assert_int_equal(blob_write(bw, "abc", 3, &e), 0);
	assert_int_equal(blob_end(bw, NULL, digest, NULL, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(blob_begin(w->b, 2, &bw, &e), 0); /* too many */
	assert_int_equal(blob_write(bw, "abc", 3, &e), -1);
	blob_abort(bw);
	assert_false(blobs_has(w->b, must, NULL));
}

static void file_is_taken_and_gone_from_its_place(void **state)
{
	struct world *w = *state;
	uint8_t digest[32], *big = malloc(3 << 20);
	uint64_t n;
	char path[200];
	struct stat st;
	struct err e;

	assert_non_null(big);
	for (size_t i = 0; i < 3 << 20; i++)
		big[i] = (uint8_t)(i * 7 + (i >> 9));
	for (int again = 0; again < 2; again++) { /* the second time it is there already */
		write_file(w->path, big, 3 << 20);
		assert_int_equal(blobs_take_file(w->b, w->path, digest, &n, &e), 0);
		assert_int_equal(n, 3 << 20);
		assert_int_equal(access(w->path, F_OK), -1);
		assert_blob(w, digest, big, 3 << 20);
	}
	assert_true(blobs_path(w->b, digest, path, sizeof(path)));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0444);
	free(big);
}

static void linked_file_keeps_its_name_and_is_found_again(void **state)
{
	struct world *w = *state;
	uint8_t digest[32], second[32];
	struct stat st;
	uint64_t n;
	struct err e;

	write_file(w->path, "abc", 3);
	assert_int_equal(blobs_link_file(w->b, w->path, digest, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_blob(w, digest, "abc", 3);
	/* Again, as after a crash: nothing is stored twice, the name is still there. */
	assert_int_equal(blobs_link_file(w->b, w->path, second, NULL, &e), 0);
	assert_memory_equal(digest, second, 32);
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(unlink(w->path), 0);
	assert_blob(w, digest, "abc", 3);
}

struct same_bytes {
	struct world *w;
	char path[300];
	int failed;
};

static void *take_the_same(void *ctx)
{
	struct same_bytes *s = ctx;
	uint8_t digest[32];
	struct err e;

	for (int i = 0; i < 200; i++) {
		write_file(s->path, "the same for all", 16);
		s->failed += blobs_take_file(s->w->b, s->path, digest, NULL, &e) != 0;
		if (i % 3 == 0)
			(void)blobs_remove(s->w->b, digest, NULL);
	}
	return NULL;
}

static void same_bytes_may_be_taken_by_two_at_once(void **state)
{
	struct same_bytes s[2] = {{.w = *state}, {.w = *state}};
	pthread_t t[2];

	for (int i = 0; i < 2; i++) {
		(void)snprintf(s[i].path, sizeof(s[i].path), "%s.%d", s[i].w->path, i);
		assert_int_equal(pthread_create(&t[i], NULL, take_the_same, &s[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(s[0].failed + s[1].failed, 0);
}

struct linker {
	struct world *w;
	char path[300];
	uint8_t digest[32];
	pthread_barrier_t *go;
	_Atomic unsigned *done;
	int failed;
};

#define LINKED_ROUNDS 1000

/* Each round other bytes, the same for all. */
static void *link_the_same(void *ctx)
{
	struct linker *l = ctx;
	struct err e;

	for (int i = 0; i < LINKED_ROUNDS; i++) {
		(void)unlink(l->path);
		write_file(l->path, &i, sizeof(i));
		(void)pthread_barrier_wait(l->go);
		l->failed += blobs_link_file(l->w->b, l->path, l->digest, NULL, &e) != 0;
		(*l->done)++;
		(void)pthread_barrier_wait(l->go);
	}
	return NULL;
}

/* Outputs of several tasks are often the same file, and gathered by several threads; it is looked for when the first is stored. */
static void same_bytes_that_are_linked_by_many_never_are_away(void **state)
{
	struct linker l[3];
	pthread_barrier_t go;
	pthread_t t[3];
	_Atomic unsigned done = 0;
	int away = 0;

	assert_int_equal(pthread_barrier_init(&go, NULL, 4), 0);
	for (int i = 0; i < 3; i++) {
		l[i] = (struct linker){.w = *state, .go = &go, .done = &done};
		(void)snprintf(l[i].path, sizeof(l[i].path), "%s.%d", l[i].w->path, i);
		assert_int_equal(pthread_create(&t[i], NULL, link_the_same, &l[i]), 0);
	}
	for (int round = 0; round < LINKED_ROUNDS; round++) {
		uint8_t digest[32];
		bool seen = false;

		sha256_of(&round, sizeof(round), digest);
		done = 0;
		(void)pthread_barrier_wait(&go);
		while (done < 3) {
			bool there = blobs_has(l[0].w->b, digest, NULL);

			seen |= there;
			away += seen && !there;
		}
		(void)pthread_barrier_wait(&go);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_int_equal(l[i].failed, 0);
	}
	(void)pthread_barrier_destroy(&go);
	assert_int_equal(away, 0);
}

static void file_with_a_second_name_is_copied(void **state)
{
	struct world *w = *state;
	char other[200];
	uint8_t digest[32];
	struct err e;

	(void)snprintf(other, sizeof(other), "%s.other", w->path);
	write_file(w->path, "abc", 3);
	assert_int_equal(link(w->path, other), 0);
	assert_int_equal(blobs_take_file(w->b, w->path, digest, NULL, &e), 0);
	write_file(other, "xyz", 3); /* whoever holds the other name cannot reach the blob */
	assert_blob(w, digest, "abc", 3);
}

static void what_is_not_a_file_is_not_taken(void **state)
{
	struct world *w = *state;
	uint8_t digest[32];
	struct err e;

	assert_int_equal(symlink("/etc/passwd", w->path), 0);
	assert_int_equal(blobs_take_file(w->b, w->path, digest, NULL, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(mkfifo(w->path, 0600), 0);
	assert_int_equal(blobs_take_file(w->b, w->path, digest, NULL, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(blobs_take_file(w->b, w->dir, digest, NULL, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(blobs_take_file(w->b, "/nonexistent", digest, NULL, &e), -1);
	assert_int_equal(e.sys, ENOENT);
}

static void limits_are_told_before_bytes_are_written(void **state)
{
	struct world *w = *state;
	struct blobs_limits l = {.blob_bytes_max = 100, .bytes_max = 150};
	struct blob_writer *bw;
	uint8_t bytes[101] = {0}, digest[32];
	struct err e;

	open_with(w, &l);
	assert_int_equal(blobs_put(w->b, bytes, 101, digest, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
	assert_int_equal(blobs_put(w->b, bytes, 100, digest, &e), 0);
	bytes[0] = 1;
	assert_int_equal(blobs_put(w->b, bytes, 51, digest, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
	assert_true(e.hint[0] != '\0');
	assert_int_equal(blobs_put(w->b, bytes, 50, digest, &e), 0);
	assert_int_equal(blob_begin(w->b, UINT64_MAX, &bw, &e), 0); /* none was announced */
	assert_int_equal(blob_write(bw, bytes, 1, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
	blob_abort(bw);
	write_file(w->path, "abc", 3);
	assert_int_equal(blobs_take_file(w->b, w->path, digest, NULL, &e), -1);
	assert_int_equal(access(w->path, F_OK), 0);
}

static void full_disk_leaves_nothing_half_written(void **state)
{
	static const enum fault_point point[] = {FAULT_BLOB_WRITE, FAULT_BLOB_SYNC};
	static const int sys[] = {ENOSPC, EDQUOT, EIO};
	struct world *w = *state;
	struct blobs_usage u;
	uint8_t digest[32];
	struct err e;

	for (size_t p = 0; p < 2; p++) {
		for (size_t i = 0; i < 3; i++) {
			fault_arm(point[p], 1, sys[i], 1);
			assert_int_equal(blobs_put(w->b, "abc", 3, digest, &e), -1);
			assert_int_equal(e.code, sys[i] == EIO ? ERR_SYSTEM : ERR_FULL);
			assert_int_equal(blobs_usage(w->b, &u, &e), 0);
			assert_int_equal(u.blobs, 0);
		}
	}
	assert_int_equal(blobs_put(w->b, "abc", 3, digest, &e), 0);
	assert_int_equal(disk_room(w->dir, UINT64_MAX, 1, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
}

static void crash_leaves_no_half_written_file_behind(void **state)
{
	struct world *w = *state;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/blobs/tmp/7-1", w->dir);
	write_file(path, "abc", 3);
	open_with(w, NULL);
	assert_int_equal(access(path, F_OK), -1);
}

static void damage_is_noticed_and_stored_over(void **state)
{
	struct world *w = *state;
	uint8_t digest[32];
	char path[200];
	struct err e;

	assert_int_equal(blobs_put(w->b, "abc", 3, digest, &e), 0);
	assert_true(blobs_path(w->b, digest, path, sizeof(path)));
	assert_int_equal(unlink(path), 0);
	write_file(path, "abcd", 4);
	assert_int_equal(blobs_verify(w->b, digest, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(blobs_put(w->b, "abc", 3, digest, &e), 0); /* another size: it cannot be the same */
	assert_blob(w, digest, "abc", 3);
}

static void put_aged(struct world *w, uint8_t byte, size_t n, int64_t used_s, uint8_t digest[32])
{
	uint8_t bytes[100];
	struct timespec t[2] = {{.tv_sec = used_s}, {.tv_sec = used_s}};
	char path[200];
	struct err e;

	memset(bytes, byte, sizeof(bytes));
	assert_int_equal(blobs_put(w->b, bytes, n, digest, &e), 0);
	assert_true(blobs_path(w->b, digest, path, sizeof(path)));
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static bool is_pinned(void *ctx, const uint8_t digest[32])
{
	return memcmp(ctx, digest, 32) == 0;
}

static void sweep_drops_oldest_first_but_never_pinned_or_young(void **state)
{
	struct world *w = *state;
	struct blobs_limits l = {.age_max_s = 1000, .grace_s = 100};
	struct blobs_swept s;
	uint8_t d[5][32];
	struct err e;

	open_with(w, &l);
	put_aged(w, 1, 10, 1000, d[0]); /* too old */
	put_aged(w, 2, 10, 1001, d[1]); /* too old, pinned */
	put_aged(w, 3, 10, 2000, d[2]);
	put_aged(w, 4, 10, 2050, d[3]);
	put_aged(w, 5, 10, 2990, d[4]); /* young */
	assert_int_equal(blobs_sweep(w->b, 1999, is_pinned, d[1], &s, &e), 0);
	assert_int_equal(s.removed, 0);
	assert_int_equal(blobs_sweep(w->b, 3000, is_pinned, d[1], &s, &e), 0);
	assert_int_equal(s.removed, 2);
	assert_false(blobs_has(w->b, d[0], NULL));
	assert_true(blobs_has(w->b, d[1], NULL));
	assert_false(blobs_has(w->b, d[2], NULL));
	assert_int_equal(s.kept_bytes, 30);
	assert_int_equal(s.pinned_bytes, 10);

	l = (struct blobs_limits){.bytes_max = 35, .grace_s = 100};
	open_with(w, &(struct blobs_limits){.grace_s = 100});
	put_aged(w, 3, 10, 2000, d[2]);
	put_aged(w, 4, 10, 2050, d[3]);
	open_with(w, &l);
	assert_int_equal(blobs_sweep(w->b, 3000, is_pinned, d[1], &s, &e), 0);
	assert_int_equal(s.removed, 1);
	assert_false(blobs_has(w->b, d[2], NULL)); /* the oldest that is not pinned */
	assert_true(blobs_has(w->b, d[3], NULL));
	l.bytes_max = 1;
	open_with(w, &l);
	assert_int_equal(blobs_sweep(w->b, 3000, NULL, NULL, &s, &e), 0);
	assert_true(blobs_has(w->b, d[4], NULL)); /* young, whatever the size */
	assert_int_equal(s.kept, 1);
}

static void disk_without_room_is_told_to_who_wants_no_words(void **state)
{
	struct world *w = *state;
	struct blobs_limits l = {.keep_free = 1};

	open_with(w, &l);
	assert_int_equal(blobs_room(w->b, 1, 0, 1, NULL), 0);
	assert_int_equal(blobs_room(w->b, 1, 0, 1ull << 62, NULL), -1);
}

struct toucher {
	struct blobs *b;
	_Atomic bool stop;
	uint8_t digest[32];
};

static void *touch_all_the_time(void *ctx)
{
	struct toucher *t = ctx;

	while (!t->stop)
		blobs_touch(t->b, t->digest);
	return NULL;
}

/* A task's input is in the store from the moment that it has its name, and is used from then on. */
static void blob_that_is_used_while_it_is_taken_stays(void **state)
{
	struct world *w = *state;
	struct toucher t = {.b = w->b};
	unsigned lost = 0;
	uint8_t digest[32];
	pthread_t thread;
	struct err e;

	write_file(w->path, "abc", 3);
	assert_int_equal(blobs_take_file(w->b, w->path, t.digest, NULL, &e), 0);
	assert_int_equal(pthread_create(&thread, NULL, touch_all_the_time, &t), 0);
	for (unsigned i = 0; i < 3000; i++) {
		assert_int_equal(blobs_remove(w->b, t.digest, &e), 0);
		write_file(w->path, "abc", 3);
		lost += blobs_take_file(w->b, w->path, digest, NULL, &e) < 0 ||
		        !blobs_has(w->b, t.digest, NULL);
		if (lost)
			break;
	}
	t.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(lost, 0);
}

static void was_pressed(void *ctx)
{
	++*(unsigned *)ctx;
}

static void sweep_makes_room_for_what_had_none(void **state)
{
	struct world *w = *state;
	struct blobs_limits l = {.bytes_max = 50, .grace_s = 100};
	struct blobs_swept s;
	struct blob_writer *bw;
	uint8_t d[5][32];
	unsigned pressed = 0;
	struct err e;

	open_with(w, &l);
	for (unsigned i = 0; i < 5; i++)
		put_aged(w, (uint8_t)(i + 1), 10, i == 4 ? 2990 : 1000 + i, d[i]); /* the last one is young */
	blobs_on_pressed(w->b, was_pressed, &pressed);
	assert_int_equal(blobs_sweep(w->b, 3000, is_pinned, d[0], &s, &e), 0);
	assert_int_equal(s.removed, 0); /* it is full, and nobody minds */
	assert_int_equal(blob_begin(w->b, 51, &bw, &e), -1);
	assert_int_equal(pressed, 0); /* room for this there never is */
	assert_int_equal(blobs_room(w->b, 12, 0, 0, NULL), -1);
	assert_int_equal(pressed, 0); /* a question makes nothing go */
	assert_int_equal(blob_begin(w->b, 12, &bw, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
	assert_int_equal(pressed, 1);
	assert_int_equal(blobs_sweep(w->b, 3000, is_pinned, d[0], &s, &e), 0);
	assert_int_equal(s.removed, 2); /* 12 and an eighth of 50 */
	assert_true(blobs_has(w->b, d[0], NULL));
	assert_false(blobs_has(w->b, d[1], NULL));
	assert_false(blobs_has(w->b, d[2], NULL));
	assert_true(blobs_has(w->b, d[3], NULL));
	assert_int_equal(blob_begin(w->b, 12, &bw, &e), 0);
	blob_abort(bw);
	assert_int_equal(blobs_sweep(w->b, 3000, is_pinned, d[0], &s, &e), 0);
	assert_int_equal(s.removed, 0); /* there was room since */
	assert_int_equal(blob_begin(w->b, 45, &bw, &e), -1);
	assert_int_equal(blobs_sweep(w->b, 3000, is_pinned, d[0], &s, &e), 0);
	assert_int_equal(s.removed, 1); /* never what is pinned, or young */
	assert_true(blobs_has(w->b, d[4], NULL));
}

struct done {
	int n, failed;
	uint8_t digest[32];
};

static void note_done(void *ctx, const struct hashq_done *d)
{
	struct done *seen = ctx;

	assert_int_equal((int)(intptr_t)d->tag, seen->n);
	seen->n++;
	if (d->rc < 0)
		seen->failed++;
	else
		memcpy(seen->digest, d->digest, 32);
}

static void queue_takes_files_in_order_off_the_loop(void **state)
{
	struct world *w = *state;
	struct done seen = {0};
	struct hashq *q;
	struct err e;

	assert_int_equal(hashq_new(w->b, note_done, &seen, &q, &e), 0);
	for (int i = 0; i < 20; i++) {
		char path[200];

		(void)snprintf(path, sizeof(path), "%s-%d", w->path, i);
		if (i != 7)
			write_file(path, &i, sizeof(i));
		assert_int_equal(hashq_take_file(q, path, (void *)(intptr_t)i, &e), 0);
	}
	assert_int_equal(hashq_waiting(q), 20);
	while (seen.n < 20) {
		struct pollfd p = {.fd = hashq_fd(q), .events = POLLIN};

		assert_int_equal(poll(&p, 1, 20000), 1);
		hashq_poll(q);
	}
	assert_int_equal(seen.failed, 1);
	assert_int_equal(hashq_waiting(q), 0);
	assert_blob(w, seen.digest, &(int){19}, sizeof(int));
	hashq_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        fact(stored_bytes_are_found_by_their_sha256),
	        fact(storing_twice_keeps_one),
	        fact(bytes_that_are_not_what_was_said_are_refused),
	        fact(file_is_taken_and_gone_from_its_place),
	        fact(linked_file_keeps_its_name_and_is_found_again),
	        fact(same_bytes_may_be_taken_by_two_at_once),
	        fact(same_bytes_that_are_linked_by_many_never_are_away),
	        fact(file_with_a_second_name_is_copied),
	        fact(what_is_not_a_file_is_not_taken),
	        fact(limits_are_told_before_bytes_are_written),
	        fact(full_disk_leaves_nothing_half_written),
	        fact(crash_leaves_no_half_written_file_behind),
	        fact(damage_is_noticed_and_stored_over),
	        fact(sweep_drops_oldest_first_but_never_pinned_or_young),
	        fact(sweep_makes_room_for_what_had_none),
	        fact(blob_that_is_used_while_it_is_taken_stays),
	        fact(disk_without_room_is_told_to_who_wants_no_words),
	        fact(queue_takes_files_in_order_off_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
