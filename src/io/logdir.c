/* SPDX-License-Identifier: Apache-2.0 */
/* logdir - see logdir.h. */
#include "io/logdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define TEMP ".new"

struct logdir {
	char *path;
	int fd, lock;
};

/* ---- opening ---- */

/* A folder with files but no log in it is somebody else's. */
static int check_folder(struct logdir *d, struct err *e)
{
	DIR *list = fdopendir(dup(d->fd));
	struct dirent *f;
	bool others = false, log = false;

	if (!list)
		return err_sys(e, "cannot read the folder '%.150s'", d->path);
	while ((f = readdir(list))) {
		log |= strcmp(f->d_name, "checkpoint") == 0 || strcmp(f->d_name, "tile") == 0 ||
		       strcmp(f->d_name, ".lock") == 0;
		others |= f->d_name[0] != '.';
	}
	(void)closedir(list);
	if (!others || log)
		return 0;
	(void)err_set(e, ERR_EXISTS, "the folder '%.150s' holds other things than a log", d->path);
	return err_hint(e, "name a new folder, or an empty one");
}

static int lock(struct logdir *d, struct err *e)
{
	d->lock = openat(d->fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock < 0)
		return err_sys(e, "cannot write into '%.150s'", d->path);
	if (flock(d->lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, ERR_EXISTS, "another process writes into '%.150s'", d->path);
	return 0;
}

int logdir_open(const char *dir, enum logdir_use use, struct logdir **out, struct err *e)
{
	struct logdir *d = calloc(1, sizeof(*d));
	int rc = 0;

	CHECK(d);
	d->lock = -1;
	d->path = strdup(dir);
	CHECK(d->path);
	if (use == LOGDIR_WRITE && mkdir(dir, 0755) < 0 && errno != EEXIST)
		rc = err_sys(e, "cannot make the folder '%.150s'", dir);
	d->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rc == 0 && d->fd < 0)
		rc = err_sys(e, "cannot open the folder '%.150s'", dir);
	if (rc == 0 && use == LOGDIR_WRITE && (check_folder(d, e) < 0 || lock(d, e) < 0))
		rc = -1;
	if (rc < 0)
		logdir_close(d);
	else
		*out = d;
	return rc;
}

void logdir_close(struct logdir *d)
{
	if (!d)
		return;
	if (d->lock >= 0)
		(void)close(d->lock);
	if (d->fd >= 0)
		(void)close(d->fd);
	free(d->path);
	free(d);
}

const char *logdir_path(const struct logdir *d)
{
	return d->path;
}

/* ---- reading ---- */

int logdir_read(
        const struct logdir *d, const char *path, uint8_t *out, size_t max, size_t *out_n, struct err *e)
{
	int fd = openat(d->fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	size_t n = 0;
	ssize_t got = 1;
	int rc = 0;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(e, ERR_NOTFOUND, "'%.120s' has no '%.60s'", d->path, path);
	if (fd < 0 || fstat(fd, &st) < 0)
		rc = err_sys(e, "cannot open '%.120s/%.60s'", d->path, path);
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		rc = err_set(
		        e, ERR_FULL, "'%.120s/%.60s' is not a file of at most %zu bytes", d->path, path, max);
	while (rc == 0 && n < max && (got = read(fd, out + n, max - n)) > 0)
		n += (size_t)got;
	if (rc == 0 && got < 0)
		rc = err_sys(e, "cannot read '%.120s/%.60s'", d->path, path);
	if (fd >= 0)
		(void)close(fd);
	*out_n = n;
	return rc;
}

int logdir_read_tile(
        const struct logdir *d, const struct tile *t, uint8_t *out, size_t max, size_t *out_n, struct err *e)
{
	char path[TILE_PATH_MAX];
	struct tile full = *t;
	struct err why;

	(void)tile_path(t, path);
	if (logdir_read(d, path, out, max, out_n, &why) == 0)
		return 0;
	full.width = TILE_WIDTH;
	(void)tile_path(&full, path);
	if (why.code == ERR_NOTFOUND && t->width < TILE_WIDTH &&
	        logdir_read(d, path, out, max, out_n, e) == 0)
		return 0;
	if (e)
		*e = why;
	return -1;
}

bool logdir_has(const struct logdir *d, const struct tile *t)
{
	char path[TILE_PATH_MAX];

	(void)tile_path(t, path);
	return faccessat(d->fd, path, F_OK, 0) == 0;
}

/* ---- writing ---- */

static int make_folders(struct logdir *d, const char *path, struct err *e)
{
	char part[512];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		if ((size_t)(slash - path) >= sizeof(part))
			return err_set(e, ERR_INVALID, "the path '%.100s' is too long", path);
		memcpy(part, path, (size_t)(slash - path));
		part[slash - path] = '\0';
		if (mkdirat(d->fd, part, 0755) < 0 && errno != EEXIST)
			return err_sys(e, "cannot make '%.120s/%.80s'", d->path, part);
	}
	return 0;
}

int logdir_write(struct logdir *d, const char *path, const void *p, size_t n, struct err *e)
{
	char temp[512];
	size_t at = 0;
	ssize_t put = 0;
	int fd, rc = 0;

	CHECK(d->lock >= 0);
	if (snprintf(temp, sizeof(temp), "%s" TEMP, path) >= (int)sizeof(temp))
		return err_set(e, ERR_INVALID, "the path '%.100s' is too long", path);
	fd = openat(d->fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 && errno == ENOENT) {
		if (make_folders(d, path, e) < 0)
			return -1;
		fd = openat(d->fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	}
	while (fd >= 0 && at < n && (put = write(fd, (const char *)p + at, n - at)) > 0)
		at += (size_t)put;
	if (fd < 0 || at < n || renameat(d->fd, temp, d->fd, path) < 0) {
		rc = err_sys(e, "cannot write '%.120s/%.80s'", d->path, path);
		if (fd >= 0)
			(void)unlinkat(d->fd, temp, 0);
	}
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

/* The partial tiles that a complete one takes the place of; all but the one named `keep`. */
static void drop_partial(struct logdir *d, const char *path, const char *keep)
{
	char folder[TILE_PATH_MAX + 4];
	struct dirent *f;
	DIR *list;
	int fd;

	(void)snprintf(folder, sizeof(folder), "%s.p", path);
	fd = openat(d->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	list = fd < 0 ? NULL : fdopendir(fd);
	if (!list) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((f = readdir(list)))
		if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0 &&
		        strcmp(f->d_name, keep) != 0)
			(void)unlinkat(fd, f->d_name, 0);
	(void)closedir(list);
	if (!*keep)
		(void)unlinkat(d->fd, folder, AT_REMOVEDIR);
}

/* Is the file there with these bytes? 1 yes, 0 it is not there, -1 with others. */
static int compare(const struct logdir *d, const char *path, const void *p, size_t n, struct err *e)
{
	uint8_t *there = malloc(n + 1);
	struct err why;
	size_t got;
	int rc;

	CHECK(there);
	if (logdir_read(d, path, there, n + 1, &got, &why) < 0)
		rc = why.code == ERR_NOTFOUND ? 0 : -1;
	else
		rc = got == n && memcmp(there, p, n) == 0 ? 1 : -1;
	free(there);
	if (rc < 0) {
		(void)err_set(e, ERR_EXISTS,
		        "'%.100s/%.60s' is there with other bytes: it is not written over", d->path, path);
		(void)err_hint(e, "it was damaged, or is of another log: look at it, then move it away");
	}
	return rc;
}

int logdir_write_tile(struct logdir *d, const struct tile *t, const void *p, size_t n, struct err *e)
{
	char path[TILE_PATH_MAX];
	int there;

	(void)tile_path(t, path);
	there = compare(d, path, p, n, e);
	if (there != 0)
		return there < 0 ? -1 : 0;
	if (logdir_write(d, path, p, n, e) < 0)
		return -1;
	if (t->width == TILE_WIDTH)
		drop_partial(d, path, "");
	return 0;
}

bool logdir_size(const struct logdir *d, const struct tile *t, uint64_t *out_bytes, uint64_t *out_mtime_s)
{
	char path[TILE_PATH_MAX];
	struct stat st;

	(void)tile_path(t, path);
	if (fstatat(d->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	*out_bytes = (uint64_t)st.st_size;
	*out_mtime_s = (uint64_t)st.st_mtime;
	return true;
}

void logdir_drop_others(struct logdir *d, const struct tile *t)
{
	char path[TILE_PATH_MAX], keep[16] = "";
	struct tile full = *t;

	if (t->width < TILE_WIDTH)
		(void)snprintf(keep, sizeof(keep), "%u", t->width);
	full.width = TILE_WIDTH;
	(void)tile_path(&full, path);
	drop_partial(d, path, keep);
}

void logdir_drop(struct logdir *d, const struct tile *t)
{
	char path[TILE_PATH_MAX];
	struct tile full = *t;

	full.width = TILE_WIDTH;
	(void)tile_path(&full, path);
	drop_partial(d, path, "");
	(void)unlinkat(d->fd, path, 0);
}

int logdir_sync(struct logdir *d, struct err *e)
{
	return syncfs(d->fd) < 0 ? err_sys(e, "cannot write '%.150s' to the disk", d->path) : 0;
}
