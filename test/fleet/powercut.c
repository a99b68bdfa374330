/* SPDX-License-Identifier: Apache-2.0 */
/*
 * powercut - preloaded into a node, keeps beside its state folder what a disk would have after the power went.
 *
 * POWERCUT_DIR is the state folder, POWERCUT_SHADOW the other. A file's bytes come to the shadow when they are synced (fsync, fdatasync,
 * syncfs: the whole file as it is then), its names at once, as on a file system that keeps a journal of names. A name that is given to a
 * file that was never synced gives an empty file, which is what such file systems give. What was written and not synced is not there: worse
 * than most disks, and allowed. To cut the power: kill all, and put the shadow in the state folder's place.
 * Files are told by their path, as /proc has it. Thread-safe as far as two syncs of one file are (each copies what is there).
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Where `path` (absolute) lies in the shadow; false: it is not below the state folder. */
static bool shadow_of(const char *path, char out[PATH_MAX])
{
	const char *dir = getenv("POWERCUT_DIR"), *shadow = getenv("POWERCUT_SHADOW");
	size_t n = dir ? strlen(dir) : 0;

	if (!dir || !shadow || strncmp(path, dir, n) != 0 || path[n] != '/')
		return false;
	return snprintf(out, PATH_MAX, "%s%s", shadow, path + n) < PATH_MAX;
}

static bool path_of(int fd, char out[PATH_MAX])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool absolute(int at, const char *name, char out[PATH_MAX])
{
	char dir[PATH_MAX];

	if (name[0] == '/')
		return snprintf(out, PATH_MAX, "%s", name) < PATH_MAX;
	if (at == AT_FDCWD ? !getcwd(dir, sizeof(dir)) : !path_of(at, dir))
		return false;
	return snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

static void make_parents(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)REAL(mkdir)(path, 0700);
		*p = '/';
	}
}

/* `in` is borrowed: a descriptor of our own of a database must never be closed here, for with it go all of the process's locks on it. */
static void copy(int in, const char *to)
{
	char *buf = malloc(1 << 20);
	struct stat st, was;
	off_t at = 0;
	ssize_t n;
	int out = -1;

	if (buf && fstat(in, &st) == 0 && S_ISREG(st.st_mode))
		out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, st.st_mode & 0777);
	if (out < 0 && errno == ENOENT) {
		char parents[PATH_MAX];

		(void)snprintf(parents, sizeof(parents), "%s", to);
		make_parents(parents);
		out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, st.st_mode & 0777);
	}
	/* The same file again, and it can only have grown or been written over: all of it. */
	while (out >= 0 && (n = pread(in, buf, 1 << 20, at)) > 0 && pwrite(out, buf, (size_t)n, at) == n)
		at += n;
	if (out >= 0 && fstat(out, &was) == 0 && was.st_size > at)
		(void)!ftruncate(out, at);
	if (out >= 0) {
		(void)!fchown(out, st.st_uid, st.st_gid);
		(void)close(out);
	}
	free(buf);
}

/* The file at `path`, which is no database. */
static void copy_path(const char *path, const char *to)
{
	int in = open(path, O_RDONLY | O_CLOEXEC);

	if (in >= 0) {
		copy(in, to);
		(void)close(in);
	}
}

static void synced(int fd)
{
	int saved = errno;
	char path[PATH_MAX], to[PATH_MAX];

	if (!path_of(fd, path) || !shadow_of(path, to))
		; /* not ours */
	else if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
		copy_path(path, to);
	else
		copy(fd, to);
	errno = saved;
}

int fsync(int fd)
{
	int rc = REAL(fsync)(fd);

	if (rc == 0)
		synced(fd);
	return rc;
}

int fdatasync(int fd)
{
	int rc = REAL(fdatasync)(fd);

	if (rc == 0)
		synced(fd);
	return rc;
}

/* Of a name that goes from one place to another, or is made of a file without one. */
static void named(int from_at, const char *from, int to_at, const char *to, bool moved)
{
	int saved = errno;
	char a[PATH_MAX], b[PATH_MAX], sa[PATH_MAX], sb[PATH_MAX];
	int fd;

	if (absolute(to_at, to, b) && shadow_of(b, sb)) {
		make_parents(sb);
		if (!absolute(from_at, from, a) || !shadow_of(a, sa) || access(sa, F_OK) < 0) {
			struct stat st;

			(void)REAL(unlink)(sb);
			fd = stat(b, &st) == 0 && S_ISREG(st.st_mode)
			             ? open(sb, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)
			             : -1;
			if (fd >= 0)
				(void)close(fd);
			if (strncmp(from, "/proc/self/fd/", 14) == 0) /* it was synced before it had a name */
				copy_path(b, sb);
		} else if (moved) {
			(void)REAL(rename)(sa, sb);
		} else {
			(void)REAL(link)(sa, sb);
		}
	}
	errno = saved;
}

static void gone(int at, const char *name)
{
	int saved = errno;
	char a[PATH_MAX], sa[PATH_MAX];

	if (absolute(at, name, a) && shadow_of(a, sa) && REAL(unlink)(sa) < 0)
		(void)REAL(rmdir)(sa);
	errno = saved;
}

int rename(const char *from, const char *to)
{
	int rc = REAL(rename)(from, to);

	if (rc == 0)
		named(AT_FDCWD, from, AT_FDCWD, to, true);
	return rc;
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
	int rc = REAL(renameat)(from_at, from, to_at, to);

	if (rc == 0)
		named(from_at, from, to_at, to, true);
	return rc;
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	int rc = REAL(linkat)(from_at, from, to_at, to, flags);

	if (rc == 0)
		named(from_at, from, to_at, to, false);
	return rc;
}

int unlink(const char *name)
{
	int rc = REAL(unlink)(name);

	if (rc == 0)
		gone(AT_FDCWD, name);
	return rc;
}

int unlinkat(int at, const char *name, int flags)
{
	int rc = REAL(unlinkat)(at, name, flags);

	if (rc == 0)
		gone(at, name);
	return rc;
}

static void made(int at, const char *name)
{
	int saved = errno;
	char a[PATH_MAX], sa[PATH_MAX];

	if (absolute(at, name, a) && shadow_of(a, sa)) {
		make_parents(sa);
		(void)REAL(mkdir)(sa, 0700);
	}
	errno = saved;
}

int mkdir(const char *name, mode_t mode)
{
	int rc = REAL(mkdir)(name, mode);

	if (rc == 0)
		made(AT_FDCWD, name);
	return rc;
}

int mkdirat(int at, const char *name, mode_t mode)
{
	int rc = REAL(mkdirat)(at, name, mode);

	if (rc == 0)
		made(at, name);
	return rc;
}
