/* SPDX-License-Identifier: Apache-2.0 */
/* test_gang_link - facts about what members of a gang say to each other: who has the secret is heard, nobody else. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/gang_link.h"

#define SECRET "0123456789abcdef0123456789abcdef"

struct dialer { /* the member's end begins in a thread: it waits for the other */
	struct gang_link *l;
	const char *secret;
	uint32_t rank;
	int fd, rc;
	struct err e;
};

static void *dial(void *p)
{
	struct dialer *d = p;

	d->rc = gang_link_begin(d->l, d->fd, d->secret, d->rank, 2000, &d->e);
	return NULL;
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 5000), 1);
}

static int take(struct gang_link *l, struct gang_frame *f, struct err *e)
{
	int rc;

	while ((rc = gang_link_take(l, f, e)) == 0)
		wait_for(l->fd);
	return rc;
}

/* Both ends, the member with this secret: the first's take of the greeting. */
static int meet(struct gang_link *first, struct gang_link *member, const char *secret, uint32_t *rank)
{
	struct dialer d = {.l = member, .secret = secret, .rank = 3};
	struct gang_frame f;
	pthread_t t;
	struct err e;
	int fd[2], rc;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	d.fd = fd[1];
	assert_int_equal(gang_link_greet(first, fd[0], &e), 0);
	assert_int_equal(pthread_create(&t, NULL, dial, &d), 0);
	while ((rc = gang_link_answer(first, SECRET, rank, &e)) == 0)
		wait_for(first->fd);
	assert_int_equal(rc, 1);
	rc = take(first, &f, &e);
	if (rc > 0) {
		assert_int_equal(f.kind, GANG_HELLO);
		assert_int_equal(gang_link_send(first, GANG_HELLO, 0, "", 0, &e), 0);
	} else {
		gang_link_close(first);
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(d.rc, rc > 0 ? 0 : -1);
	return rc;
}

static struct gang_link *link_new(void)
{
	struct gang_link *l = calloc(1, sizeof(*l));

	CHECK(l);
	return l;
}

static void who_has_the_secret_is_heard(void **state)
{
	struct gang_link *first = link_new(), *member = link_new();
	char data[GANG_DATA_MAX];
	struct gang_frame f;
	uint32_t rank = 0;
	struct err e;

	(void)state;
	memset(data, 'x', sizeof(data));
	assert_int_equal(meet(first, member, SECRET, &rank), 1);
	assert_int_equal(rank, 3);
	assert_int_equal(gang_link_send(first, GANG_RUN, 7, "true", 4, &e), 0);
	assert_int_equal(take(member, &f, &e), 1);
	assert_true(f.kind == GANG_RUN && f.session == 7 && f.n == 4 && memcmp(f.data, "true", 4) == 0);
	assert_int_equal(gang_link_send(member, GANG_OUT, 7, data, sizeof(data), &e), 0);
	assert_int_equal(take(first, &f, &e), 1);
	assert_true(f.kind == GANG_OUT && f.n == sizeof(data) && memcmp(f.data, data, f.n) == 0);
	gang_link_close(member);
	assert_int_equal(take(first, &f, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
	gang_link_close(first);
	free(first);
	free(member);
}

static void who_has_another_secret_is_not(void **state)
{
	struct gang_link *first = link_new(), *member = link_new();
	uint32_t rank = 0;

	(void)state;
	assert_int_equal(meet(first, member, "0123456789abcdef0123456789abcdeg", &rank), -1);
	free(first);
	free(member);
}

/* A frame that was changed, said again, or said back is none. */
static void nobody_between_can_say_anything(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct gang_link *first = link_new(), *member = link_new(), *thief = link_new();
		struct gang_frame f;
		uint32_t rank = 0;
		struct err e;

		(void)state;
		assert_int_equal(meet(first, member, SECRET, &rank), 1);
		*thief = how == 2 ? *member : *first;
		if (how == 0)
			thief->key[31] ^= 1;
		if (how == 1)
			thief->sent--; /* the number of a frame that came before */
		if (how == 2)
			thief->fd = first->fd; /* the member's own words, to it */
		assert_int_equal(gang_link_send(thief, GANG_RUN, 1, "evil", 4, &e), 0);
		assert_int_equal(take(member, &f, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		gang_link_close(first);
		gang_link_close(member);
		free(first);
		free(member);
		free(thief);
	}
}

static void a_frame_that_is_too_long_is_none(void **state)
{
	static const uint8_t lengths[][4] = {
	        {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {0, 0, 0, 20}, {0, 1, 0, 0}};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct gang_link *first = link_new(), *member = link_new();
		struct gang_frame f;
		uint32_t rank = 0;
		struct err e;

		assert_int_equal(meet(first, member, SECRET, &rank), 1);
		assert_int_equal(gang_write(first->fd, lengths[i], 4), 0);
		assert_int_equal(take(member, &f, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		gang_link_close(first);
		gang_link_close(member);
		free(first);
		free(member);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(who_has_the_secret_is_heard),
	        cmocka_unit_test(who_has_another_secret_is_not),
	        cmocka_unit_test(nobody_between_can_say_anything),
	        cmocka_unit_test(a_frame_that_is_too_long_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
