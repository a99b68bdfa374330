/* SPDX-License-Identifier: Apache-2.0 */
/* disk - see disk.h. */
#include "io/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

int disk_space(const char *path, struct disk_space *out, struct err *e)
{
	struct statvfs v;
	int rc;

	do
		rc = statvfs(path, &v);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return err_sys(e, "cannot tell the free space of '%s'", path);
	out->total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	out->free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	out->free_files = v.f_files == 0 ? UINT64_MAX : (uint64_t)v.f_favail;
	return 0;
}

int disk_room(const char *path, uint64_t want, uint64_t keep, struct err *e)
{
	struct disk_space d;

	if (disk_space(path, &d, e) < 0)
		return -1;
	if (d.free_files == 0) {
		(void)err_set(e, ERR_FULL, "the file system of '%s' has no free inode", path);
		return err_hint(e, "remove files there");
	}
	if (want <= d.free_bytes && keep <= d.free_bytes - want)
		return 0;
	(void)err_set(e, ERR_FULL,
	        "no room in '%s': %llu bytes are free, %llu are wanted and %llu kept in reserve", path,
	        (unsigned long long)d.free_bytes, (unsigned long long)want, (unsigned long long)keep);
	return err_hint(e, "make room there");
}

int disk_sync_folder(const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_sys(e, "cannot open the folder '%s'", dir);
	rc = fsync(fd) < 0 ? err_sys(e, "cannot sync the folder '%s'", dir) : 0;
	(void)close(fd);
	return rc;
}

bool disk_errno_is_full(int sys)
{
	return sys == ENOSPC || sys == EDQUOT;
}
