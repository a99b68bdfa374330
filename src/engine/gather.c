/* SPDX-License-Identifier: Apache-2.0 */
/* gather - see gather.h. */
#include "engine/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/results.h"
#include "io/sha256.h"

#define COPY_BYTES (256u * 1024u)

struct gather {
	uv_work_t work;
	struct blobs *blobs;
	gather_fn fn;
	void *ctx;
	size_t n, max;
	struct gathered files[];
};

struct gather *gather_new(struct blobs *b, size_t max_files)
{
	struct gather *g = calloc(1, sizeof(*g) + max_files * sizeof(g->files[0]));

	CHECK(g);
	g->blobs = b;
	g->max = max_files;
	g->work.data = g;
	return g;
}

void gather_add(struct gather *g, int which, const char *path, int fd)
{
	struct gathered *f;

	CHECK(g->n < g->max);
	f = &g->files[g->n++];
	f->which = which;
	f->fd = fd;
	f->path = path ? strdup(path) : NULL;
	CHECK(f->path || fd >= 0);
}

void gather_free(struct gather *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++) {
		if (g->files[i].fd >= 0)
			(void)close(g->files[i].fd);
		free(g->files[i].path);
		free(g->files[i].data);
	}
	free(g);
}

/* ---- on the pool ---- */

static int read_all(int fd, void *p, size_t n, off_t at, struct err *e)
{
	uint8_t *to = p;

	while (n) {
		ssize_t got = pread(fd, to, n, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, "cannot read the output");
		if (got == 0)
			return err_set(e, ERR_CORRUPT, "the output became shorter while it was read");
		to += got;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

static int keep_small(struct gathered *f, int fd, size_t n, struct err *e)
{
	f->data = malloc(n ? n : 1);
	CHECK(f->data);
	if (read_all(fd, f->data, n, 0, e) < 0)
		return -1;
	f->bytes = n;
	if (n)
		sha256_of(f->data, n, f->sha256);
	return 0;
}

/* A large output that came as a descriptor: its writer may still hold it, so it is copied. */
static int copy_large(struct blobs *b, struct gathered *f, int fd, uint64_t n, struct err *e)
{
	struct blob_writer *w;
	uint8_t *buf = malloc(COPY_BYTES);
	int rc;

	CHECK(buf);
	rc = blob_begin(b, n, &w, e);
	for (uint64_t at = 0; rc == 0 && at < n; at += COPY_BYTES) {
		size_t part = n - at < COPY_BYTES ? (size_t)(n - at) : COPY_BYTES;

		rc = read_all(fd, buf, part, (off_t)at, e);
		if (rc == 0)
			rc = blob_write(w, buf, part, e);
		if (rc < 0)
			blob_abort(w);
	}
	free(buf);
	return rc < 0 ? -1 : blob_end(w, NULL, f->sha256, &f->bytes, e);
}

static int gather_one(struct blobs *b, struct gathered *f, struct err *e)
{
	struct stat st;
	int rc;

	if (f->fd < 0) {
		f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (f->fd < 0)
			return err_sys(e, "cannot open the output '%s'", f->path);
	}
	if (fstat(f->fd, &st) < 0)
		return err_sys(e, "cannot look at the output");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "the output is not a file");
	if (st.st_size <= (off_t)OUTPUT_SMALL_MAX)
		rc = keep_small(f, f->fd, (size_t)st.st_size, e);
	else if (f->path)
		/* Its name stays until the keeper hears that the result is durable: until then it may be asked for again. */
		rc = blobs_link_file(b, f->path, f->sha256, &f->bytes, e);
	else
		rc = copy_large(b, f, f->fd, (uint64_t)st.st_size, e);
	return rc;
}

static void work(uv_work_t *w)
{
	struct gather *g = w->data;

	for (size_t i = 0; i < g->n; i++) {
		struct gathered *f = &g->files[i];
		struct err e;

		if (gather_one(g->blobs, f, &e) < 0) {
			f->failed = true;
			f->bytes = 0;
			(void)snprintf(f->why, sizeof(f->why), "%.190s", e.msg);
		}
		if (f->fd >= 0)
			(void)close(f->fd);
		f->fd = -1;
	}
}

/* ---- on the loop ---- */

static void after(uv_work_t *w, int status)
{
	struct gather *g = w->data;

	(void)status;
	if (g->fn)
		g->fn(g->ctx, g, g->files, g->n);
	gather_free(g);
}

void gather_go(struct gather *g, uv_loop_t *loop, gather_fn fn, void *ctx)
{
	g->fn = fn;
	g->ctx = ctx;
	CHECK(uv_queue_work(loop, &g->work, work, after) == 0);
}

void gather_forget(struct gather *g)
{
	if (g)
		g->fn = NULL;
}
