/* SPDX-License-Identifier: Apache-2.0 */
/* blobs - see blobs.h; putting and getting. What goes by policy is in blobs_sweep.c. */
#include "io/blobs_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "io/fault.h"

#define BLOB_BYTES_MAX ((uint64_t)1 << 40)
#define KEEP_FREE      ((uint64_t)64 << 20)
#define GRACE_S        3600u
#define CHUNK          (256u << 10)
#define TMP_NAME_BYTES 48
#define ROOM_EVERY     ((uint64_t)16 << 20) /* bytes written between two looks at the free space */

struct blob_writer {
	struct blobs *b;
	struct sha256 *sha;
	char name[TMP_NAME_BYTES];
	int fd;
	uint64_t bytes, expect, room_looked;
	bool failed;
};

static void *must_alloc(size_t n)
{
	void *p = calloc(1, n);

	CHECK(p);
	return p;
}

/* ---- the folder ---- */

void blob_name(const uint8_t digest[SHA256_BYTES], char out[BLOB_NAME_BYTES])
{
	char hex[SHA256_HEX + 1];

	sha256_hex(digest, hex);
	(void)snprintf(out, BLOB_NAME_BYTES, "%.2s/%s", hex, hex + 2);
}

static void clear_tmp(int fd)
{
	int copy = openat(fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!d && copy >= 0)
		(void)close(copy);
	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(d), entry->d_name, 0);
	}
	if (d)
		(void)closedir(d);
}

int blobs_open(const char *dir, const struct blobs_limits *limits, struct blobs **out, struct err *e)
{
	struct blobs *b = must_alloc(sizeof(*b));
	size_t n = strlen(dir) + sizeof("/blobs");

	b->dir = must_alloc(n);
	(void)snprintf(b->dir, n, "%s/blobs", dir);
	if (limits)
		b->limits = *limits;
	b->limits.blob_bytes_max = b->limits.blob_bytes_max ? b->limits.blob_bytes_max : BLOB_BYTES_MAX;
	b->limits.keep_free = b->limits.keep_free ? b->limits.keep_free : KEEP_FREE;
	b->limits.grace_s = b->limits.grace_s ? b->limits.grace_s : GRACE_S;
	b->fd = -1;
	(void)pthread_mutex_init(&b->mutex, NULL);
	for (unsigned i = 0; i < BLOB_LOCKS; i++)
		(void)pthread_mutex_init(&b->use[i], NULL);
	if (fault_from_env(e) < 0) {
		blobs_close(b);
		return -1;
	}
	if (mkdir(b->dir, 0711) == 0)
		(void)disk_sync_folder(dir, NULL);
	b->fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->fd < 0 || (mkdirat(b->fd, "tmp", 0700) < 0 && errno != EEXIST)) {
		(void)err_sys(e, "cannot open the blob store '%s'", b->dir);
		(void)err_hint(e, "make it a folder that may be written, or choose another with --state");
		blobs_close(b);
		return -1;
	}
	clear_tmp(b->fd);
	*out = b;
	return 0;
}

void blobs_close(struct blobs *b)
{
	if (!b)
		return;
	if (b->fd >= 0)
		(void)close(b->fd);
	(void)pthread_mutex_destroy(&b->mutex);
	for (unsigned i = 0; i < BLOB_LOCKS; i++)
		(void)pthread_mutex_destroy(&b->use[i]);
	free(b->dir);
	free(b);
}

/* ---- limits ---- */

static uint64_t sum_of(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void blobs_press(struct blobs *b, uint64_t bytes)
{
	(void)pthread_mutex_lock(&b->mutex);
	b->lacked = bytes > b->lacked ? bytes : b->lacked;
	if (b->pressed)
		b->pressed(b->pressed_ctx);
	(void)pthread_mutex_unlock(&b->mutex);
}

void blobs_on_pressed(struct blobs *b, void (*fn)(void *ctx), void *ctx)
{
	(void)pthread_mutex_lock(&b->mutex);
	b->pressed = fn;
	b->pressed_ctx = ctx;
	(void)pthread_mutex_unlock(&b->mutex);
}

/* Whether `more` bytes may be added to the store, which shall also take in `beside` bytes of others. The sum of all is taken once, when first
 * needed. *lacks: how many of them a sweep would have to find; 0 where none helps. */
static int check_room(
        struct blobs *b, uint64_t size, uint64_t beside, uint64_t more, uint64_t *lacks, struct err *e)
{
	const uint64_t sum = sum_of(size, beside);
	struct blobs_usage u;

	*lacks = 0;
	if (size > b->limits.blob_bytes_max) {
		(void)err_set(e, ERR_FULL, "a blob of %llu bytes or more is over the limit of %llu",
		        (unsigned long long)size, (unsigned long long)b->limits.blob_bytes_max);
		return err_hint(e, "make the file smaller, or raise the store's limit for one blob");
	}
	if (b->limits.bytes_max > 0) {
		if (blobs_usage(b, &u, e) < 0)
			return -1;
		if (sum > b->limits.bytes_max || u.bytes > b->limits.bytes_max - sum) {
			if (sum <= b->limits.bytes_max)
				*lacks = u.bytes - (b->limits.bytes_max - sum);
			(void)err_set(e, ERR_FULL,
			        "the blob store is full: %llu of %llu bytes are used and %llu more wanted",
			        (unsigned long long)u.bytes, (unsigned long long)b->limits.bytes_max,
			        (unsigned long long)sum);
			return err_hint(e, "remove old jobs, or raise the store's limit");
		}
	}
	if (disk_room(b->dir, more, b->limits.keep_free, e) == 0)
		return 0;
	if (e->code == ERR_FULL)
		*lacks = more;
	return -1;
}

int blobs_room(struct blobs *b, uint64_t bytes, uint64_t beside, uint64_t coming, struct err *e)
{
	struct err unheard;
	uint64_t lacks;

	return check_room(b, bytes, beside, coming, &lacks, e ? e : &unheard);
}

/* The same for what is about to be written: the next sweep makes room for it. */
static int need_room(struct blobs *b, uint64_t size, uint64_t more, struct err *e)
{
	struct err unheard;
	uint64_t lacks;
	const int rc = check_room(b, size, 0, more, &lacks, e ? e : &unheard);

	if (lacks > 0)
		blobs_press(b, lacks);
	return rc;
}

void blobs_count(struct blobs *b, int64_t blobs, int64_t bytes)
{
	(void)pthread_mutex_lock(&b->mutex);
	if (b->counted) {
		b->usage.blobs = (uint64_t)((int64_t)b->usage.blobs + blobs);
		b->usage.bytes = (uint64_t)((int64_t)b->usage.bytes + bytes);
	}
	(void)pthread_mutex_unlock(&b->mutex);
}

/* ---- putting ---- */

static int write_failed(struct blob_writer *w, int sys, struct err *e)
{
	w->failed = true;
	errno = sys;
	if (disk_errno_is_full(sys)) {
		(void)err_set(e, ERR_FULL, "no room left on the disk for the blob store '%s'", w->b->dir);
		if (e)
			e->sys = sys;
		return err_hint(e, "make room there");
	}
	return err_sys(e, "cannot write to the blob store '%s'", w->b->dir);
}

static void tmp_name(struct blobs *b, char *out, size_t n)
{
	(void)pthread_mutex_lock(&b->mutex);
	(void)snprintf(out, n, "tmp/%llu-%ld", (unsigned long long)b->next_tmp++, (long)getpid());
	(void)pthread_mutex_unlock(&b->mutex);
}

int blob_begin(struct blobs *b, uint64_t expect_bytes, struct blob_writer **out, struct err *e)
{
	uint64_t expect = expect_bytes == UINT64_MAX ? 0 : expect_bytes;
	struct blob_writer *w;

	if (need_room(b, expect, expect, e) < 0)
		return -1;
	w = must_alloc(sizeof(*w));
	w->b = b;
	w->expect = expect_bytes;
	w->room_looked = expect;
	tmp_name(b, w->name, sizeof(w->name));
	w->fd = openat(b->fd, w->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (w->fd < 0) {
		(void)write_failed(w, errno, e);
		free(w);
		return -1;
	}
	w->sha = sha256_new();
	*out = w;
	return 0;
}

int blob_write(struct blob_writer *w, const void *p, size_t n, struct err *e)
{
	const uint8_t *at = p;

	CHECK(!w->failed);
	if (w->expect != UINT64_MAX && n > w->expect - w->bytes) {
		w->failed = true;
		return err_set(e, ERR_INVALID, "more than the %llu bytes that were announced",
		        (unsigned long long)w->expect);
	}
	if (w->bytes + n > w->room_looked) {
		w->room_looked = w->bytes + n + ROOM_EVERY;
		if (need_room(w->b, w->bytes + n, n, e) < 0) {
			w->failed = true;
			return -1;
		}
	}
	sha256_update(w->sha, p, n);
	w->bytes += n;
	while (n > 0) {
		int sys = fault_hit(FAULT_BLOB_WRITE);
		ssize_t put = sys ? -1 : write(w->fd, at, n);

		if (put < 0 && !sys && errno == EINTR)
			continue;
		if (put < 0)
			return write_failed(w, sys ? sys : errno, e);
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

static int sync_fd(int fd)
{
	int sys = fault_hit(FAULT_BLOB_SYNC);

	errno = sys;
	return sys ? -1 : fsync(fd);
}

/* Whether the file keeps the name it had besides. */
enum keep { KEEP_NOTHING, KEEP_NAME };

/* Give the file its name as a blob; what has that name is damaged. There is no moment in which nothing has it. */
static int name_it(struct blobs *b, int from_fd, const char *from, const char *name, enum keep keep)
{
	char second[TMP_NAME_BYTES];
	int rc;

	if (keep == KEEP_NOTHING)
		return renameat(from_fd, from, b->fd, name);
	tmp_name(b, second, sizeof(second));
	if (linkat(from_fd, from, b->fd, second, 0) < 0)
		return -1;
	rc = renameat(b->fd, second, b->fd, name);
	if (rc < 0)
		(void)unlinkat(b->fd, second, 0);
	return rc;
}

/* Move (or link) the whole and synced file `from` (relative to from_fd) to its name, durably. With the digest's lock. */
static int place(struct blobs *b, int from_fd, const char *from, const uint8_t digest[SHA256_BYTES],
        uint64_t bytes, enum keep keep, struct err *e)
{
	char name[BLOB_NAME_BYTES], folder[3];
	struct stat st;
	int fd, rc = 0;
	bool made, there;

	blob_name(digest, name);
	memcpy(folder, name, 2);
	folder[2] = '\0';
	made = mkdirat(b->fd, folder, 0711) == 0;
	if (!made && errno != EEXIST)
		return err_sys(e, "cannot create '%s/%s'", b->dir, folder);
	there = fstatat(b->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	fd = openat(b->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || name_it(b, from_fd, from, name, keep) < 0 || sync_fd(fd) < 0 ||
	        (made && fsync(b->fd) < 0))
		rc = err_sys(e, "cannot store '%s/%s'", b->dir, name);
	if (fd >= 0)
		(void)close(fd);
	if (rc == 0)
		blobs_count(b, there ? 0 : 1, (int64_t)bytes - (there ? (int64_t)st.st_size : 0));
	return rc;
}

/* What is there in the same size needs no second copy; its age begins anew. With the digest's lock. */
static bool found(struct blobs *b, const uint8_t digest[SHA256_BYTES], uint64_t bytes)
{
	uint64_t size;
	const bool there = blobs_has(b, digest, &size) && size == bytes;

	if (there)
		blobs_touch(b, digest);
	return there;
}

static bool is_there(struct blobs *b, const uint8_t digest[SHA256_BYTES], uint64_t bytes)
{
	bool there;

	(void)pthread_mutex_lock(blob_use(b, digest));
	there = found(b, digest, bytes);
	(void)pthread_mutex_unlock(blob_use(b, digest));
	return there;
}

/* What was written becomes a blob, unless somebody else has stored the same bytes meanwhile. */
static int place_written(struct blob_writer *w, const uint8_t digest[SHA256_BYTES], struct err *e)
{
	struct blobs *b = w->b;
	int rc = 0;

	if (fchmod(w->fd, 0444) < 0 || sync_fd(w->fd) < 0)
		return write_failed(w, errno, e);
	(void)pthread_mutex_lock(blob_use(b, digest));
	if (!found(b, digest, w->bytes))
		rc = place(b, b->fd, w->name, digest, w->bytes, KEEP_NOTHING, e);
	(void)pthread_mutex_unlock(blob_use(b, digest));
	return rc;
}

int blob_end(struct blob_writer *w, const uint8_t must[SHA256_BYTES], uint8_t out_digest[SHA256_BYTES],
        uint64_t *out_bytes, struct err *e)
{
	uint8_t digest[SHA256_BYTES];
	int rc = 0;

	CHECK(!w->failed);
	sha256_end(w->sha, digest);
	if (w->expect != UINT64_MAX && w->bytes != w->expect)
		rc = err_set(e, ERR_INVALID, "%llu bytes came, %llu were announced",
		        (unsigned long long)w->bytes, (unsigned long long)w->expect);
	if (rc == 0 && must && memcmp(must, digest, sizeof(digest)) != 0) {
		char is[SHA256_HEX + 1], want[SHA256_HEX + 1];

		sha256_hex(digest, is);
		sha256_hex(must, want);
		rc = err_set(e, ERR_INVALID, "the bytes have SHA-256 %s, not %s", is, want);
	}
	if (rc == 0 && !is_there(w->b, digest, w->bytes))
		rc = place_written(w, digest, e);
	if (rc == 0) {
		memcpy(out_digest, digest, sizeof(digest));
		if (out_bytes)
			*out_bytes = w->bytes;
	}
	blob_abort(w);
	return rc;
}

void blob_abort(struct blob_writer *w)
{
	if (!w)
		return;
	(void)unlinkat(w->b->fd, w->name, 0); /* not there any more when it was stored */
	(void)close(w->fd);
	sha256_free(w->sha);
	free(w);
}

int blobs_put(struct blobs *b, const void *p, size_t n, uint8_t out_digest[SHA256_BYTES], struct err *e)
{
	struct blob_writer *w;

	if (blob_begin(b, n, &w, e) < 0)
		return -1;
	if (blob_write(w, p, n, e) < 0) {
		blob_abort(w);
		return -1;
	}
	return blob_end(w, NULL, out_digest, NULL, e);
}

/* ---- taking a file ---- */

/* Read the file to its end through `use`. */
static int read_through(int fd, const char *path,
        int (*use)(void *ctx, const void *p, size_t n, struct err *e), void *ctx, struct err *e)
{
	uint8_t *chunk = must_alloc(CHUNK);
	int rc = 0;
	off_t at = 0;

	while (rc == 0) {
		ssize_t n = pread(fd, chunk, CHUNK, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_sys(e, "cannot read '%s'", path);
		if (n <= 0)
			break;
		at += n;
		rc = use(ctx, chunk, (size_t)n, e);
	}
	free(chunk);
	return rc;
}

static int use_hash(void *ctx, const void *p, size_t n, struct err *e)
{
	(void)e;
	sha256_update(ctx, p, n);
	return 0;
}

static int use_write(void *ctx, const void *p, size_t n, struct err *e)
{
	return blob_write(ctx, p, n, e);
}

static int hash_fd(int fd, const char *path, uint8_t out[SHA256_BYTES], struct err *e)
{
	struct sha256 *sha = sha256_new();
	int rc = read_through(fd, path, use_hash, sha, e);

	sha256_end(sha, out);
	sha256_free(sha);
	return rc;
}

static int changed(const char *path, struct err *e)
{
	return err_set(e, ERR_INVALID, "'%s' changed while it was read", path);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int take_by_copy(struct blobs *b, int fd, const char *path, const struct stat *st,
        uint8_t digest[SHA256_BYTES], struct err *e)
{
	struct blob_writer *w;

	if (blob_begin(b, (uint64_t)st->st_size, &w, e) < 0)
		return -1;
	if (read_through(fd, path, use_write, w, e) < 0) {
		blob_abort(w);
		return -1;
	}
	return blob_end(w, NULL, digest, NULL, e);
}

/* A writer that we could not see got in between: give the file back. */
static void give_back(
        struct blobs *b, const uint8_t digest[SHA256_BYTES], const char *path, uint64_t bytes, enum keep keep)
{
	char name[BLOB_NAME_BYTES];

	blob_name(digest, name);
	/* Of two names for one file rename() takes neither away. */
	if (keep == KEEP_NAME ? unlinkat(b->fd, name, 0) == 0 : renameat(b->fd, name, AT_FDCWD, path) == 0)
		blobs_count(b, -1, -(int64_t)bytes);
}

/* Does the file still say what it did? Its time may be another: whoever sees the blob may touch it. */
static bool still_says(int fd, const struct stat *st, const uint8_t digest[SHA256_BYTES])
{
	uint8_t again[SHA256_BYTES];
	struct stat now;

	if (fstat(fd, &now) < 0)
		return false;
	return same_file(&now, st) || (now.st_size == st->st_size && hash_fd(fd, "", again, NULL) == 0 &&
	                                      memcmp(again, digest, sizeof(again)) == 0);
}

static int take_by_rename(struct blobs *b, int fd, const char *path, const struct stat *st, enum keep keep,
        uint8_t digest[SHA256_BYTES], struct err *e)
{
	struct stat now;
	bool placed;
	int rc;

	if (need_room(b, (uint64_t)st->st_size, 0, e) < 0 || hash_fd(fd, path, digest, e) < 0)
		return -1;
	if (is_there(b, digest, (uint64_t)st->st_size))
		return fstat(fd, &now) == 0 && same_file(&now, st) ? 0 : changed(path, e);
	/* From here on it is ours: what its owner may still do by name ends, and it is not to be changed. */
	if (geteuid() == 0 && fchown(fd, 0, 0) < 0)
		return err_sys(e, "cannot take over '%s'", path);
	if (fchmod(fd, 0444) < 0 || sync_fd(fd) < 0)
		return err_sys(e, "cannot take over '%s'", path);
	/* The name may have been given to another file meanwhile. */
	if (lstat(path, &now) < 0 || !same_file(&now, st))
		return changed(path, e);
	(void)pthread_mutex_lock(blob_use(b, digest));
	placed = !found(
	        b, digest, (uint64_t)st->st_size); /* the same bytes may have come from elsewhere meanwhile */
	rc = placed ? place(b, AT_FDCWD, path, digest, (uint64_t)st->st_size, keep, e) : 0;
	if (rc == 0 && !still_says(fd, st, digest)) {
		if (placed)
			give_back(b, digest, path, (uint64_t)st->st_size, keep);
		rc = changed(path, e);
	}
	(void)pthread_mutex_unlock(blob_use(b, digest));
	return rc;
}

/* Is the file a second name of a blob already? It has been linked before. */
static bool is_linked(
        struct blobs *b, int fd, const char *path, const struct stat *st, uint8_t digest[SHA256_BYTES])
{
	char name[BLOB_NAME_BYTES];
	struct stat blob;

	if (st->st_nlink < 2 || hash_fd(fd, path, digest, NULL) < 0)
		return false;
	blob_name(digest, name);
	return fstatat(b->fd, name, &blob, AT_SYMLINK_NOFOLLOW) == 0 && blob.st_ino == st->st_ino &&
	       blob.st_dev == st->st_dev && is_there(b, digest, (uint64_t)st->st_size);
}

static int take_file(struct blobs *b, const char *path, enum keep keep, uint8_t out_digest[SHA256_BYTES],
        uint64_t *out_bytes, struct err *e)
{
	/* O_NONBLOCK: a FIFO with this name must not hold us up. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), rc;
	struct stat st, after, folder;
	uint8_t digest[SHA256_BYTES];

	if (fd < 0 && errno == ELOOP)
		return err_set(e, ERR_INVALID, "'%s' is a symbolic link, not a file", path);
	if (fd < 0)
		return err_sys(e, "cannot open '%s'", path);
	if (fstat(fd, &st) < 0 || fstat(b->fd, &folder) < 0) {
		rc = err_sys(e, "cannot look at '%s'", path);
	} else if (!S_ISREG(st.st_mode)) {
		rc = err_set(e, ERR_INVALID, "'%s' is not a file", path);
	} else if (st.st_nlink == 1 && st.st_dev == folder.st_dev &&
	           (geteuid() == 0 || st.st_uid == geteuid())) {
		rc = take_by_rename(b, fd, path, &st, keep, digest, e);
	} else if (keep == KEEP_NAME && is_linked(b, fd, path, &st, digest)) {
		rc = 0;
	} else {
		rc = take_by_copy(b, fd, path, &st, digest, e);
		if (rc == 0 && (fstat(fd, &after) < 0 || !same_file(&st, &after)))
			rc = changed(path, e);
	}
	(void)close(fd);
	if (rc < 0)
		return -1;
	if (keep == KEEP_NOTHING)
		(void)unlink(
		        path); /* copied, or there already; stored is stored even where we may not remove */
	memcpy(out_digest, digest, sizeof(digest));
	if (out_bytes)
		*out_bytes = (uint64_t)st.st_size;
	return 0;
}

int blobs_take_file(struct blobs *b, const char *path, uint8_t out_digest[SHA256_BYTES], uint64_t *out_bytes,
        struct err *e)
{
	return take_file(b, path, KEEP_NOTHING, out_digest, out_bytes, e);
}

int blobs_link_file(struct blobs *b, const char *path, uint8_t out_digest[SHA256_BYTES], uint64_t *out_bytes,
        struct err *e)
{
	return take_file(b, path, KEEP_NAME, out_digest, out_bytes, e);
}

/* ---- getting ---- */

bool blobs_has(struct blobs *b, const uint8_t digest[SHA256_BYTES], uint64_t *out_bytes)
{
	char name[BLOB_NAME_BYTES];
	struct stat st;

	blob_name(digest, name);
	if (fstatat(b->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (out_bytes)
		*out_bytes = (uint64_t)st.st_size;
	return true;
}

void blobs_touch(struct blobs *b, const uint8_t digest[SHA256_BYTES])
{
	char name[BLOB_NAME_BYTES];

	blob_name(digest, name);
	(void)utimensat(b->fd, name, NULL, AT_SYMLINK_NOFOLLOW);
}

int blobs_open_read(
        struct blobs *b, const uint8_t digest[SHA256_BYTES], int *out_fd, uint64_t *out_bytes, struct err *e)
{
	char name[BLOB_NAME_BYTES];
	struct stat st;
	int fd;

	blob_name(digest, name);
	fd = openat(b->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOTFOUND, "there is no blob %.2s%s", name, name + 3);
	if (fd < 0 || fstat(fd, &st) < 0) {
		(void)err_sys(e, "cannot open the blob '%s/%s'", b->dir, name);
		if (fd >= 0)
			(void)close(fd);
		return -1;
	}
	*out_fd = fd;
	if (out_bytes)
		*out_bytes = (uint64_t)st.st_size;
	return 0;
}

int blobs_map(struct blobs *b, const uint8_t digest[SHA256_BYTES], const uint8_t **out, size_t *out_n,
        struct err *e)
{
	static const uint8_t nothing[1];
	uint64_t bytes;
	void *p;
	int fd;

	if (blobs_open_read(b, digest, &fd, &bytes, e) < 0)
		return -1;
	p = bytes == 0 ? NULL : mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		(void)err_sys(e, "cannot map a blob of '%s'", b->dir);
		(void)close(fd);
		return -1;
	}
	(void)close(fd);
	*out = p ? p : nothing;
	*out_n = (size_t)bytes;
	return 0;
}

void blobs_unmap(const uint8_t *p, size_t n)
{
	if (n > 0)
		(void)munmap((void *)(uintptr_t)p, n);
}

bool blobs_path(struct blobs *b, const uint8_t digest[SHA256_BYTES], char *out, size_t n)
{
	char name[BLOB_NAME_BYTES];

	blob_name(digest, name);
	if (strlen(b->dir) + 1 + strlen(name) >= n)
		return false;
	(void)snprintf(out, n, "%s/%s", b->dir, name);
	return true;
}

int blobs_verify(struct blobs *b, const uint8_t digest[SHA256_BYTES], struct err *e)
{
	uint8_t is[SHA256_BYTES];
	char name[BLOB_NAME_BYTES], hex[SHA256_HEX + 1];
	int fd, rc;

	if (blobs_open_read(b, digest, &fd, NULL, e) < 0)
		return -1;
	blob_name(digest, name);
	rc = hash_fd(fd, name, is, e);
	(void)close(fd);
	if (rc < 0 || memcmp(is, digest, sizeof(is)) == 0)
		return rc;
	sha256_hex(is, hex);
	(void)err_set(e, ERR_CORRUPT, "blob %.2s%s is damaged: its SHA-256 is %s", name, name + 3, hex);
	return err_hint(e, "remove it and store it again, or run again what made it");
}
