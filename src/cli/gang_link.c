/* SPDX-License-Identifier: Apache-2.0 */
/* gang_link - see gang_link.h. */
#include "cli/gang_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "base/check.h"

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int gang_write(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n > 0) {
		ssize_t k = write(fd, at, n);
		struct pollfd wait = {.fd = fd, .events = POLLOUT};

		if (k < 0 && errno == EAGAIN)
			k = poll(&wait, 1, -1) < 0 && errno != EINTR ? -1 : 0;
		if (k < 0 && errno != EINTR)
			return -1;
		at += k > 0 ? k : 0;
		n -= k > 0 ? (size_t)k : 0;
	}
	return 0;
}

static void link_key(struct gang_link *l, const char *secret, const uint8_t *of_first,
        const uint8_t *of_member, uint32_t rank)
{
	static const char what[] = "osier gang link";
	crypto_auth_hmacsha256_state h;
	uint8_t key[32], number[4];

	put32(number, rank);
	(void)crypto_hash_sha256(key, (const uint8_t *)secret, strlen(secret));
	(void)crypto_auth_hmacsha256_init(&h, key, sizeof(key));
	(void)crypto_auth_hmacsha256_update(&h, (const uint8_t *)what, sizeof(what));
	(void)crypto_auth_hmacsha256_update(&h, of_first, GANG_RANDOM);
	(void)crypto_auth_hmacsha256_update(&h, of_member, GANG_RANDOM);
	(void)crypto_auth_hmacsha256_update(&h, number, sizeof(number));
	(void)crypto_auth_hmacsha256_final(&h, l->key);
}

static void link_init(struct gang_link *l, int fd, bool first)
{
	memset(l, 0, sizeof(*l));
	l->fd = fd;
	l->first = first;
	CHECK(sodium_init() >= 0);
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	CHECK(getrandom(l->random, sizeof(l->random), 0) == (ssize_t)sizeof(l->random));
}

/* Until `want` bytes are there: 1, else 0. */
static int fill(struct gang_link *l, size_t want, struct err *e)
{
	while (l->have < want) {
		ssize_t n = recv(l->fd, l->in + l->have, want - l->have, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return err_set(e, ERR_CLOSED, "the other side is gone");
		l->have += (size_t)n;
	}
	return 1;
}

int gang_link_greet(struct gang_link *l, int fd, struct err *e)
{
	link_init(l, fd, true);
	return gang_write(fd, l->random, GANG_RANDOM) < 0 ? err_sys(e, "cannot greet a member") : 0;
}

int gang_link_answer(struct gang_link *l, const char *secret, uint32_t *out_rank, struct err *e)
{
	int rc = fill(l, GANG_ANSWER, e);

	if (rc <= 0)
		return rc;
	*out_rank = get32(l->in);
	link_key(l, secret, l->random, l->in + 4, *out_rank);
	l->have = 0;
	return 1;
}

int gang_link_begin(
        struct gang_link *l, int fd, const char *secret, uint32_t rank, int wait_ms, struct err *e)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	uint8_t answer[GANG_ANSWER];
	struct gang_frame f = {0};
	int rc;

	link_init(l, fd, false);
	while ((rc = fill(l, GANG_RANDOM, e)) == 0)
		if (poll(&wait, 1, wait_ms) == 0) {
			rc = err_set(e, ERR_CLOSED, "nobody speaks there");
			break;
		}
	if (rc > 0) {
		put32(answer, rank);
		memcpy(answer + 4, l->random, GANG_RANDOM);
		link_key(l, secret, l->in, l->random, rank);
		l->have = 0;
		rc = gang_write(fd, answer, sizeof(answer)) < 0 ? err_sys(e, "cannot answer rank 0") : 0;
	}
	if (rc == 0)
		rc = gang_link_send(l, GANG_HELLO, 0, "", 0, e);
	/* It must know the key, too. */
	while (rc == 0 && (rc = gang_link_take(l, &f, e)) == 0)
		if (poll(&wait, 1, wait_ms) == 0)
			rc = err_set(e, ERR_CLOSED, "it does not answer");
	if (rc > 0 && f.kind != GANG_HELLO)
		rc = err_set(e, ERR_CORRUPT, "what came is no greeting");
	if (rc < 0)
		gang_link_close(l);
	return rc < 0 ? -1 : 0;
}

void gang_link_close(struct gang_link *l)
{
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
}

static void nonce(uint8_t out[crypto_secretbox_NONCEBYTES], bool first, uint64_t number)
{
	memset(out, 0, crypto_secretbox_NONCEBYTES);
	out[0] = first ? 1 : 2;
	for (int i = 0; i < 8; i++)
		out[1 + i] = (uint8_t)(number >> (8 * i));
}

int gang_link_send(
        struct gang_link *l, enum gang_kind kind, uint32_t session, const void *data, size_t n, struct err *e)
{
	uint8_t plain[5 + GANG_DATA_MAX], out[4 + GANG_FRAME_MAX], number[crypto_secretbox_NONCEBYTES];

	CHECK(n <= GANG_DATA_MAX);
	plain[0] = (uint8_t)kind;
	put32(plain + 1, session);
	if (n)
		memcpy(plain + 5, data, n);
	nonce(number, l->first, l->sent++);
	put32(out, (uint32_t)(5 + n + crypto_secretbox_MACBYTES));
	(void)crypto_secretbox_easy(out + 4, plain, 5 + n, number, l->key);
	if (gang_write(l->fd, out, 4 + 5 + n + crypto_secretbox_MACBYTES) < 0)
		return err_set(e, ERR_CLOSED, "the other side is gone");
	return 0;
}

int gang_link_take(struct gang_link *l, struct gang_frame *out, struct err *e)
{
	uint8_t number[crypto_secretbox_NONCEBYTES];
	uint32_t n;
	int rc = fill(l, 4, e);

	if (rc <= 0)
		return rc;
	n = get32(l->in);
	if (n < 5 + crypto_secretbox_MACBYTES || n > GANG_FRAME_MAX)
		return err_set(e, ERR_CORRUPT, "what came is no frame");
	rc = fill(l, 4 + (size_t)n, e);
	if (rc <= 0)
		return rc;
	nonce(number, !l->first, l->got++);
	if (crypto_secretbox_open_easy(l->plain, l->in + 4, n, number, l->key) != 0)
		return err_set(e, ERR_CORRUPT, "what came was not sealed with the key of this gang");
	l->have = 0;
	*out = (struct gang_frame){.kind = (enum gang_kind)l->plain[0],
	        .session = get32(l->plain + 1),
	        .data = l->plain + 5,
	        .n = n - crypto_secretbox_MACBYTES - 5};
	return 1;
}
