/* SPDX-License-Identifier: Apache-2.0 */
/* lines - see lines.h. */
#include "io/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define STRIDE       1024
#define WINDOW_BYTES (64u << 10)
#define OPEN_MAX     16

struct lines {
	int fd;
	uint64_t count, size;
	uint64_t *index; /* offset of line k * STRIDE */
	size_t n_index, index_room;
	uint64_t next_line, next_at; /* where the last lines_get() ended */
	uint64_t window_at;          /* window[0..window_n) are the bytes from there */
	size_t window_n;
	char window[WINDOW_BYTES + 1];
};
_Static_assert(WINDOW_BYTES > 2 * LINE_BYTES_MAX, "a line fits the window");

static int index_add(struct lines *l, uint64_t at)
{
	if (l->n_index == l->index_room) {
		l->index_room = l->index_room ? 2 * l->index_room : 64;
		l->index = realloc(l->index, l->index_room * sizeof(*l->index));
		if (!l->index)
			abort();
	}
	l->index[l->n_index++] = at;
	return 0;
}

/* Fill the window from `at`. */
static int window_read(struct lines *l, uint64_t at, struct err *e)
{
	ssize_t k;

	l->window_at = at;
	l->window_n = 0;
	while (l->window_n < WINDOW_BYTES) {
		k = pread(l->fd, l->window + l->window_n, WINDOW_BYTES - l->window_n,
		        (off_t)(at + l->window_n));
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_sys(e, "cannot read lines");
		if (k == 0)
			return 0;
		l->window_n += (size_t)k;
	}
	return 0;
}

/* The line at offset `at`, brought into the window. */
static int line_at(
        struct lines *l, uint64_t at, const char **out, size_t *out_n, bool *out_ended, struct err *e)
{
	const char *s, *end;
	size_t room;

	for (int tries = 0; tries < 2; tries++) {
		if (at < l->window_at || at > l->window_at + l->window_n || tries)
			if (window_read(l, at, e) < 0)
				return -1;
		s = l->window + (at - l->window_at);
		room = l->window_n - (size_t)(at - l->window_at);
		end = memchr(s, '\n', room);
		if (end || l->window_at + l->window_n >= l->size)
			break;
	}
	*out = s;
	*out_n = end ? (size_t)(end - s) : room;
	*out_ended = end != NULL;
	return 0;
}

/* Go through the whole file once. */
static int scan(struct lines *l, struct err *e)
{
	uint64_t at = 0;

	while (at < l->size) {
		const char *s;
		size_t n;
		bool ended;

		if (l->count % STRIDE == 0)
			(void)index_add(l, at);
		if (line_at(l, at, &s, &n, &ended, e) < 0)
			return -1;
		if (n > LINE_BYTES_MAX)
			return err_set(e, ERR_INVALID, "line %" PRIu64 " is longer than %d bytes",
			        l->count + 1, LINE_BYTES_MAX);
		if (memchr(s, '\0', n))
			return err_set(e, ERR_INVALID, "line %" PRIu64 " has a NUL byte", l->count + 1);
		if (n == 0 && !ended)
			return err_set(e, ERR_CORRUPT, "the file became shorter while it was read");
		at += n + ended;
		l->count++;
	}
	return 0;
}

int lines_open_take(int fd, struct lines **out, struct err *e)
{
	struct lines *l = calloc(1, sizeof(*l));
	struct stat st;

	if (!l)
		abort();
	l->fd = fd;
	if (fstat(fd, &st) < 0) {
		(void)err_sys(e, "cannot look at the file of lines");
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		(void)err_set(e, ERR_INVALID, "not a regular file");
		goto out;
	}
	l->size = (uint64_t)st.st_size;
	if (scan(l, e) < 0)
		goto out;
	*out = l;
	return 0;
out:
	lines_close(l);
	return -1;
}

void lines_close(struct lines *l)
{
	if (!l)
		return;
	(void)close(l->fd);
	free(l->index);
	free(l);
}

uint64_t lines_count(const struct lines *l)
{
	return l->count;
}

int lines_get(struct lines *l, uint64_t index, const char **out, size_t *out_n, struct err *e)
{
	uint64_t line, at;
	bool ended;

	if (index >= l->count)
		return err_set(
		        e, ERR_NOTFOUND, "no line %" PRIu64 ": the file has %" PRIu64, index + 1, l->count);
	line = index / STRIDE * STRIDE;
	at = l->index[index / STRIDE];
	if (l->next_line <= index && l->next_line > line) {
		line = l->next_line;
		at = l->next_at;
	}
	for (;; line++) {
		if (line_at(l, at, out, out_n, &ended, e) < 0)
			return -1;
		at += *out_n + ended;
		if (line == index)
			break;
	}
	l->next_line = line + 1;
	l->next_at = at;
	return 0;
}

/* ---- several ---- */

struct lines_cache {
	int (*open_blob)(void *ctx, const uint8_t sha256[32], struct err *e);
	void *ctx;
	struct {
		uint8_t sha256[32];
		struct lines *lines;
		uint64_t used; /* by the clock below */
	} open[OPEN_MAX];
	uint64_t clock;
};

struct lines_cache *lines_cache_new(
        int (*open_blob)(void *ctx, const uint8_t sha256[32], struct err *e), void *ctx)
{
	struct lines_cache *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->open_blob = open_blob;
	c->ctx = ctx;
	return c;
}

void lines_cache_free(struct lines_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < OPEN_MAX; i++)
		lines_close(c->open[i].lines);
	free(c);
}

int lines_cache_line(
        void *cache, const uint8_t sha256[32], uint64_t index, const char **out, size_t *out_n, struct err *e)
{
	struct lines_cache *c = cache;
	struct lines *l;
	size_t oldest = 0;
	int fd;

	for (size_t i = 0; i < OPEN_MAX; i++) {
		if (c->open[i].lines && memcmp(c->open[i].sha256, sha256, 32) == 0) {
			c->open[i].used = ++c->clock;
			return lines_get(c->open[i].lines, index, out, out_n, e);
		}
		if (c->open[i].used < c->open[oldest].used)
			oldest = i;
	}
	fd = c->open_blob(c->ctx, sha256, e);
	if (fd < 0 || lines_open_take(fd, &l, e) < 0)
		return -1;
	lines_close(c->open[oldest].lines);
	memcpy(c->open[oldest].sha256, sha256, 32);
	c->open[oldest].lines = l;
	c->open[oldest].used = ++c->clock;
	return lines_get(l, index, out, out_n, e);
}
