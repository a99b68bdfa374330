/* SPDX-License-Identifier: Apache-2.0 */
/* blobs_sweep - counting the store and dropping what is old. See blobs.h. */
#include "io/blobs_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

typedef int each_fn(void *ctx, const uint8_t digest[SHA256_BYTES], uint64_t bytes, uint64_t used_s);

static bool digest_of(const char *folder, const char *name, uint8_t out[SHA256_BYTES])
{
	char hex[SHA256_HEX + 1];

	if (strlen(name) != SHA256_HEX - 2)
		return false;
	memcpy(hex, folder, 2);
	memcpy(hex + 2, name, SHA256_HEX - 1);
	return sha256_unhex(hex, out) == 0;
}

static int each_in(struct blobs *b, const char *folder, each_fn *each, void *ctx, struct err *e)
{
	int fd = openat(b->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d) {
		rc = errno == ENOENT ? 0 : err_sys(e, "cannot open '%s/%s'", b->dir, folder);
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	while (rc == 0 && (entry = readdir(d))) {
		uint8_t digest[SHA256_BYTES];
		struct stat st;

		if (!digest_of(folder, entry->d_name, digest) ||
		        fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (each(ctx, digest, (uint64_t)st.st_size,
		            st.st_mtim.tv_sec > 0 ? (uint64_t)st.st_mtim.tv_sec : 0) < 0)
			rc = 1;
	}
	(void)closedir(d);
	return rc;
}

int blobs_each(struct blobs *b, each_fn *each, void *ctx, struct err *e)
{
	int rc = 0;

	for (int i = 0; i < 256 && rc == 0; i++) {
		char folder[3];

		(void)snprintf(folder, sizeof(folder), "%02x", (unsigned)i);
		rc = each_in(b, folder, each, ctx, e);
	}
	return rc < 0 ? -1 : 0;
}

static int count_one(void *ctx, const uint8_t digest[SHA256_BYTES], uint64_t bytes, uint64_t used_s)
{
	struct blobs_usage *u = ctx;

	(void)digest;
	(void)used_s;
	u->blobs++;
	u->bytes += bytes;
	return 0;
}

int blobs_usage(struct blobs *b, struct blobs_usage *out, struct err *e)
{
	struct blobs_usage u = {0};
	bool counted;

	(void)pthread_mutex_lock(&b->mutex);
	counted = b->counted;
	if (counted)
		*out = b->usage;
	(void)pthread_mutex_unlock(&b->mutex);
	if (counted)
		return 0;
	/* What another thread stores during this first count may be missed by it until the next sweep. */
	if (blobs_each(b, count_one, &u, e) < 0)
		return -1;
	(void)pthread_mutex_lock(&b->mutex);
	b->usage = u;
	b->counted = true;
	(void)pthread_mutex_unlock(&b->mutex);
	*out = u;
	return 0;
}

int blobs_remove(struct blobs *b, const uint8_t digest[SHA256_BYTES], struct err *e)
{
	char name[BLOB_NAME_BYTES];
	uint64_t bytes;

	blob_name(digest, name);
	if (!blobs_has(b, digest, &bytes))
		return err_set(e, ERR_NOTFOUND, "there is no blob %.2s%s", name, name + 3);
	if (unlinkat(b->fd, name, 0) < 0)
		return err_sys(e, "cannot remove the blob '%s/%s'", b->dir, name);
	blobs_count(b, -1, -(int64_t)bytes);
	return 0;
}

/* Remove it unless somebody has said since `used_s` that it is used. */
static int remove_unused(struct blobs *b, const uint8_t digest[SHA256_BYTES], uint64_t used_s,
        bool *out_removed, struct err *e)
{
	char name[BLOB_NAME_BYTES];
	struct stat st;
	int rc = 0;

	blob_name(digest, name);
	*out_removed = false;
	(void)pthread_mutex_lock(blob_use(b, digest));
	if (fstatat(b->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)st.st_mtim.tv_sec == used_s) {
		rc = blobs_remove(b, digest, e);
		*out_removed = rc == 0;
	}
	(void)pthread_mutex_unlock(blob_use(b, digest));
	return rc;
}

struct candidate {
	uint64_t used_s, bytes;
	uint8_t digest[SHA256_BYTES];
};

struct candidates {
	struct candidate *c;
	size_t n, cap;
	uint64_t bytes;
};

static int collect(void *ctx, const uint8_t digest[SHA256_BYTES], uint64_t bytes, uint64_t used_s)
{
	struct candidates *l = ctx;

	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 256;
		l->c = realloc(l->c, l->cap * sizeof(*l->c));
		CHECK(l->c);
	}
	l->c[l->n] = (struct candidate){.used_s = used_s, .bytes = bytes};
	memcpy(l->c[l->n++].digest, digest, SHA256_BYTES);
	l->bytes += bytes;
	return 0;
}

static int oldest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->used_s != y->used_s)
		return x->used_s < y->used_s ? -1 : 1;
	return memcmp(x->digest, y->digest, SHA256_BYTES);
}

/* What there was no room for, and an eighth of the store beside it: not one sweep for each file. */
static uint64_t to_free(struct blobs *b, uint64_t bytes)
{
	uint64_t lacked;

	(void)pthread_mutex_lock(&b->mutex);
	lacked = b->lacked;
	b->lacked = 0;
	(void)pthread_mutex_unlock(&b->mutex);
	return lacked == 0 ? 0 : lacked > UINT64_MAX - bytes / 8 ? UINT64_MAX : lacked + bytes / 8;
}

int blobs_sweep(struct blobs *b, uint64_t now_s,
        bool (*pinned)(void *ctx, const uint8_t digest[SHA256_BYTES]), void *ctx, struct blobs_swept *out,
        struct err *e)
{
	const struct blobs_limits *lim = &b->limits;
	struct blobs_swept s = {0};
	struct candidates l = {0};
	int rc = blobs_each(b, collect, &l, e);
	uint64_t bytes = l.bytes;
	const uint64_t free_up = to_free(b, bytes);

	if (rc == 0 && l.n > 0)
		qsort(l.c, l.n, sizeof(*l.c), oldest_first);
	for (size_t i = 0; i < l.n && rc == 0; i++) {
		const struct candidate *c = &l.c[i];
		uint64_t age = now_s > c->used_s ? now_s - c->used_s : 0;
		bool old = lim->age_max_s > 0 && age >= lim->age_max_s;
		bool removed,
		        over = (lim->bytes_max > 0 && bytes > lim->bytes_max) || s.removed_bytes < free_up;

		if (age < lim->grace_s || (!old && !over))
			break; /* all that follow are younger */
		if (pinned && pinned(ctx, c->digest)) {
			s.pinned_bytes += c->bytes;
			continue;
		}
		rc = remove_unused(b, c->digest, c->used_s, &removed, e);
		if (!removed)
			continue;
		s.removed++;
		s.removed_bytes += c->bytes;
		bytes -= c->bytes;
	}
	s.kept = l.n - s.removed;
	s.kept_bytes = l.bytes - s.removed_bytes;
	free(l.c);
	if (rc == 0 && out)
		*out = s;
	return rc;
}
