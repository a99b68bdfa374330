/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files - what goes into a task's scratch folder and what comes out of it; see keeper.h. Removing is in trash.c.
 *
 * The folder belongs to the task's user, so everything in it is hostile: no path below it is used but through openat2
 * without symbolic links, nothing is opened that could block, and a file is given to the engine only if it is a plain file of
 * the task's own with no other name. Blobs belong to the engine, which is trusted less than the keeper: likewise.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/sys.h"

#define COPY_HERE_BYTES (4u << 20) /* more is copied by the child, so that the keeper does not stand still */
#define LINK_BYTES      (256u << 10) /* less is cheaper to copy than to be careful about */

int scratch_make(struct keeper *k, struct slot *s, const struct keeper_start *m, struct err *e)
{
	struct scratch *c = &s->scratch;

	if (c->fd >= 0 && c->lease == s->lease && c->uid == m->uid && c->gid == m->gid)
		return 0;
	scratch_drop(k, s);
	(void)snprintf(c->name, sizeof(c->name), "%" PRIu64, s->lease);
	if (mkdirat(k->scratch_fd, c->name, 0700) < 0)
		return err_sys(e, "cannot make the scratch folder '%s/scratch/%s'", k->state_dir, c->name);
	c->fd = openat(k->scratch_fd, c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->fd < 0)
		return err_sys(e, "cannot open the scratch folder '%s/scratch/%s'", k->state_dir, c->name);
	if (k->root && fchown(c->fd, m->uid, m->gid) < 0) {
		(void)err_sys(
		        e, "cannot give the scratch folder '%s/scratch/%s' away", k->state_dir, c->name);
		sys_close(&c->fd);
		(void)unlinkat(k->scratch_fd, c->name, AT_REMOVEDIR);
		return -1;
	}
	c->empty_ns = 0;
	c->lease = s->lease;
	c->uid = m->uid;
	c->gid = m->gid;
	return 0;
}

/* Open the folder that `path` (checked by the parser) lies in, making it when `make`. *out_base: the last part. */
static int open_parent(
        const struct keeper *k, const struct slot *s, const char *path, bool make, const char **out_base)
{
	char part[KEEPER_PATH_MAX + 1];
	const char *slash = strrchr(path, '/');
	int fd = -1;

	*out_base = slash ? slash + 1 : path;
	if (!slash)
		return fcntl(s->scratch.fd, F_DUPFD_CLOEXEC, 4);
	for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
		size_t n = (size_t)(end - path);

		memcpy(part, path, n);
		part[n] = '\0';
		sys_close(&fd);
		fd = sys_open_beneath(s->scratch.fd, part, O_RDONLY | O_DIRECTORY, 0);
		if (fd < 0 && errno == ENOENT && make && mkdirat(s->scratch.fd, part, 0755) == 0) {
			fd = sys_open_beneath(s->scratch.fd, part, O_RDONLY | O_DIRECTORY, 0);
			if (fd >= 0 && k->root && fchown(fd, s->uid, s->gid) < 0)
				sys_close(&fd);
		}
		if (fd < 0)
			return -1;
	}
	return fd;
}

static int write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t w = write(fd, at, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return -1;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

static int copy_fd(int from, int to)
{
	static uint8_t buf[65536];
	ssize_t n;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	while ((n = copy_file_range(from, NULL, to, NULL, 1u << 30, 0)) > 0)
		;
	if (n == 0)
		return 0;
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write_all(to, buf, (size_t)n) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

/* Whether the blob may be a second name in the scratch folder: the task must not be able to change it. */
static bool may_link(const struct keeper *k, const struct slot *s, const struct keeper_start *m,
        const struct keeper_file *f, const struct stat *st)
{
	struct keeper_file o;
	size_t at = 0;

	if (!k->root || s->uid == 0 || st->st_uid == s->uid || st->st_size < LINK_BYTES)
		return false;
	if ((f->flags & KEEPER_FILE_EXECUTABLE) || (st->st_mode & 07777) != 0444)
		return false;
	while (keeper_file_next(&m->outputs, &at, &o))
		if (strcmp(o.path.p, f->path.p) == 0)
			return false;
	return true;
}

static int place(struct keeper *k, struct slot *s, const struct keeper_file *f, int blob, bool link)
{
	const char *base;
	int dir = open_parent(k, s, f->path.p, true, &base), fd = -1, rc = -1;
	char proc[40];

	if (dir < 0)
		return -1;
	if (link) {
		(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", blob);
		rc = linkat(AT_FDCWD, proc, dir, base, AT_SYMLINK_FOLLOW);
		if (rc == 0 || (errno != EXDEV && errno != EMLINK && errno != EPERM))
			goto out;
	}
	fd = openat(dir, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		goto out;
	rc = f->flags & KEEPER_FILE_INLINE ? write_all(fd, f->data.p, f->data.n) : copy_fd(blob, fd);
	if (rc == 0)
		rc = fchmod(fd, f->flags & KEEPER_FILE_EXECUTABLE ? 0755 : 0644);
	if (rc == 0 && k->root)
		rc = fchown(fd, s->uid, s->gid);
out:
	sys_close(&fd);
	sys_close(&dir);
	return rc;
}

static int open_blob(const struct keeper *k, const char *name, struct stat *st)
{
	int fd = k->blobs_fd < 0 ? -1
	                         : sys_open_beneath(k->blobs_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

	if (k->blobs_fd < 0)
		errno = ENOENT;
	if (fd < 0)
		return -1;
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
		sys_close(&fd);
		errno = EINVAL;
	}
	return fd;
}

/* The blobs folder may be made by the engine after the keeper started. */
static void find_blobs(struct keeper *k)
{
	if (k->blobs_fd < 0)
		k->blobs_fd = openat(k->state_fd, "blobs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int files_inputs(
        struct keeper *k, struct slot *s, const struct keeper_start *m, bool *out_later, struct err *e)
{
	uint64_t copy_bytes = 0;
	struct keeper_file f;
	size_t at = 0;
	struct stat st;

	*out_later = false;
	if (m->inputs.n == 0)
		return 0;
	find_blobs(k);
	while (keeper_file_next(&m->inputs, &at, &f)) {
		int fd;

		if (f.flags & KEEPER_FILE_INLINE)
			continue;
		fd = open_blob(k, f.data.p, &st);
		if (fd < 0)
			return err_sys(e, "cannot open blob '%s' for input '%s'", f.data.p, f.path.p);
		if (!may_link(k, s, m, &f, &st))
			copy_bytes += (uint64_t)st.st_size;
		sys_close(&fd);
	}
	if (copy_bytes > COPY_HERE_BYTES) {
		*out_later = true;
		return 0;
	}
	{
		struct spawn_fail fail = {0};

		if (files_inputs_child(k, s, m, &fail) == 0)
			return 0;
		errno = fail.sys;
		return err_sys(e, "cannot put input '%s' in place", fail.name);
	}
}

int files_inputs_child(struct keeper *k, struct slot *s, const struct keeper_start *m, struct spawn_fail *f)
{
	struct keeper_file one;
	size_t at = 0;

	while (keeper_file_next(&m->inputs, &at, &one)) {
		struct stat st = {0};
		bool plain = !(one.flags & KEEPER_FILE_INLINE);
		int fd = plain ? open_blob(k, one.data.p, &st) : -1, rc = -1;

		if (fd >= 0 || !plain)
			rc = place(k, s, &one, fd, plain && may_link(k, s, m, &one, &st));
		if (rc < 0) {
			f->sys = errno;
			(void)snprintf(f->name, sizeof(f->name), "%s", one.path.p);
			sys_close(&fd);
			return -1;
		}
		sys_close(&fd);
	}
	return 0;
}

int files_stdin(struct keeper *k, const struct keeper_start *m, int *out_fd, struct err *e)
{
	struct stat st;
	int fd;

	*out_fd = -1;
	if (m->stdin_kind == KEEPER_STDIN_NULL)
		return 0;
	if (m->stdin_kind == KEEPER_STDIN_BLOB) {
		find_blobs(k);
		fd = open_blob(k, m->stdin_.p, &st);
		if (fd < 0)
			return err_sys(e, "cannot open blob '%s' for stdin", m->stdin_.p);
		(void)fcntl(fd, F_SETFL, 0);
	} else {
		fd = memfd_create("stdin", MFD_CLOEXEC);
		if (fd < 0 || write_all(fd, m->stdin_.p, m->stdin_.n) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
			(void)err_sys(e, "cannot make stdin");
			sys_close(&fd);
			return -1;
		}
	}
	*out_fd = fd;
	return 0;
}

/* By descriptor: the spool belongs to the engine's user, who could put a link where the name was. */
static int give_away(const struct keeper *k, int fd)
{
	char proc[40];

	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (k->root && fchownat(fd, "", k->engine.uid, k->engine.gid, AT_EMPTY_PATH) < 0)
		return -1;
	return chmod(proc, 0600);
}

/* One declared output to the spool. 0, or -1 with errno (ENOENT: not there; others: it is not what it should be). */
static int move_output(
        struct keeper *k, struct slot *s, const char *path, const char *name, uint64_t *out_bytes)
{
	const char *base;
	struct stat before, st;
	int dir = open_parent(k, s, path, false, &base), fd = -1, sys = 0;

	if (dir < 0)
		return -1;
	if (fstatat(dir, base, &before, AT_SYMLINK_NOFOLLOW) < 0)
		sys = errno;
	else if (!S_ISREG(before.st_mode))
		sys = S_ISDIR(before.st_mode) ? EISDIR : EINVAL;
	else if ((k->root && before.st_uid != s->uid) || before.st_nlink != 1)
		sys = EMLINK;
	else if (renameat(dir, base, k->spool_fd, name) < 0)
		sys = errno;
	sys_close(&dir);
	if (sys) {
		errno = sys;
		return -1;
	}
	/* Whether it is still the file that was looked at: another process of that user may have been quick. */
	fd = openat(k->spool_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != before.st_ino || !S_ISREG(st.st_mode) ||
	        st.st_nlink != 1)
		sys = EINVAL;
	else if (give_away(k, fd) < 0)
		sys = errno;
	sys_close(&fd);
	if (sys) {
		if (unlinkat(k->spool_fd, name, 0) < 0 && errno == EISDIR)
			(void)unlinkat(k->spool_fd, name, AT_REMOVEDIR);
		errno = sys;
		return -1;
	}
	*out_bytes = (uint64_t)st.st_size;
	return 0;
}

int files_outputs(
        struct keeper *k, struct slot *s, const struct keeper_start *m, uint64_t *sizes, struct err *e)
{
	struct keeper_file f;
	size_t at = 0;

	for (uint32_t i = 0; keeper_file_next(&m->outputs, &at, &f); i++) {
		char suffix[16], name[64];

		(void)snprintf(suffix, sizeof(suffix), ".o%u", i);
		spool_name(name, s->lease, s->index, suffix);
		sizes[i] = KEEPER_MISSING;
		if (move_output(k, s, f.path.p, name, &sizes[i]) == 0)
			continue;
		if (errno == ENOENT || errno == ENOTDIR) {
			if (f.flags & KEEPER_FILE_OPTIONAL)
				continue;
			return err_set(e, ERR_NOTFOUND, "no output '%s' after exit code 0", f.path.p);
		}
		if (errno == EISDIR)
			return err_set(e, ERR_NOTFOUND, "output '%s' is a folder, not a file", f.path.p);
		if (errno == EMLINK)
			return err_set(e, ERR_NOTFOUND,
			        "output '%s' has other names (hard links) or another owner", f.path.p);
		if (errno == EINVAL || errno == ELOOP)
			return err_set(e, ERR_NOTFOUND, "output '%s' is not a plain file", f.path.p);
		return err_sys(e, "cannot take output '%s'", f.path.p);
	}
	return 0;
}
