/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_gang_link - any bytes at a member of a gang: from a stranger, of whom nothing is taken for a frame (first byte 0), or as frames of one who
 * has the key, which come as they were said.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/gang_link.h"

#define SECRET "0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stranger(struct gang_link *l, int fd, const uint8_t *p, size_t n)
{
	struct gang_frame f;
	uint32_t rank = 0;
	struct err e = {0};
	int rc;

	CHECK(gang_write(fd, p, n) == 0);
	rc = gang_link_answer(l, SECRET, &rank, &e);
	CHECK(rc == (n >= GANG_ANSWER));
	if (rc > 0)
		rc = gang_link_take(l, &f, &e);
	CHECK(rc <= 0);
	CHECK(rc == 0 || e.code == ERR_CORRUPT);
}

static void friend(struct gang_link *l, int fd, const uint8_t *p, size_t n)
{
	struct gang_link *other = calloc(1, sizeof(*other));
	enum gang_kind kind = n ? (enum gang_kind)p[0] : GANG_BYE;
	struct gang_frame f;
	struct err e = {0};

	CHECK(other);
	other->fd = fd;
	memcpy(other->key, l->key, sizeof(l->key));
	for (size_t at = 0; at < n; at += 1 + p[at]) {
		size_t k = n - at < p[at] ? n - at : p[at];

		CHECK(gang_link_send(other, kind, (uint32_t)at, p + at, k, &e) == 0);
		CHECK(gang_link_take(l, &f, &e) == 1);
		CHECK(f.kind == kind && f.session == at && f.n == k && memcmp(f.data, p + at, k) == 0);
	}
	free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gang_link *l;
	struct err e;
	int fd[2];

	if (size == 0 || size > 60000)
		return 0;
	l = calloc(1, sizeof(*l));
	CHECK(l && socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0 && gang_link_greet(l, fd[0], &e) == 0);
	if (data[0])
		friend(l, fd[1], data + 1, size - 1);
	else
		stranger(l, fd[1], data + 1, size - 1);
	gang_link_close(l);
	free(l);
	(void)close(fd[1]);
	return 0;
}
