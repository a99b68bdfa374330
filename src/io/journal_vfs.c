/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_vfs - SQLite's own files, with the fault seam before every write and sync. See journal_int.h.
 *
 * SQLite writes each frame of the log with two calls, 24 bytes and a page. What follows on what came before is held back
 * here and written at once: at the latest when the log is synced, and before anything else is done with the file. Nobody
 * looks at frames of a commit that is not synced, so nobody misses them (synchronous=FULL; a log that is read is written first).
 */
#include "io/journal_int.h"

#include <errno.h>

#include "base/check.h"
#include "io/disk.h"
#include "io/fault.h"

#define HELD_BYTES (16 * (24 + 4096)) /* frames of the log */

struct file {
	sqlite3_file base;
	enum fault_point write, sync;
	uint8_t *held; /* of the log alone, from its first write on */
	int held_n;
	sqlite3_int64 held_at;
	/* the real file's bytes follow */
};

static sqlite3_vfs shim;
static sqlite3_vfs *real_vfs;
static _Thread_local int last_errno; /* of the last write or sync that failed: SQLite loses it on some ways */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static sqlite3_file *real(sqlite3_file *f)
{
	return (sqlite3_file *)(void *)((uint8_t *)f + sizeof(struct file));
}

/* What a call that needs room came to: "no room" is SQLITE_FULL whichever call finds it out, and by quota, too. */
static int outcome(int rc)
{
	if (rc == SQLITE_OK)
		return rc;
	last_errno = errno;
	return disk_errno_is_full(last_errno) ? SQLITE_FULL : rc;
}

static int fail(int sys, int code)
{
	errno = sys;
	return outcome(code);
}

int journal_vfs_errno(void)
{
	return last_errno;
}

/* Write what is held back. What cannot be written is gone: its commit fails, and SQLite writes there anew. */
static int let_go(sqlite3_file *f)
{
	struct file *file = (struct file *)f;
	int n = file->held_n;

	if (n == 0)
		return SQLITE_OK;
	file->held_n = 0;
	errno = 0;
	return outcome(real(f)->pMethods->xWrite(real(f), file->held, n, file->held_at));
}

static int file_close(sqlite3_file *f)
{
	struct file *file = (struct file *)f;
	int rc = let_go(f), closed;

	free(file->held);
	file->held = NULL;
	closed = real(f)->pMethods->xClose(real(f));
	return rc == SQLITE_OK ? closed : rc;
}

static int file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	int rc = let_go(f);

	return rc == SQLITE_OK ? real(f)->pMethods->xRead(real(f), p, n, at) : rc;
}

static int hold(struct file *file, const void *p, int n, sqlite3_int64 at)
{
	int rc = SQLITE_OK;

	if (file->held_n > 0 && (at != file->held_at + file->held_n || n > HELD_BYTES - file->held_n))
		rc = let_go(&file->base);
	if (rc != SQLITE_OK)
		return rc;
	if (!file->held)
		file->held = must_grow(NULL, HELD_BYTES);
	if (file->held_n == 0)
		file->held_at = at;
	memcpy(file->held + file->held_n, p, (size_t)n);
	file->held_n += n;
	return SQLITE_OK;
}

static int file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	struct file *file = (struct file *)f;
	int sys = fault_hit(file->write), rc;

	if (sys)
		return fail(sys, SQLITE_IOERR_WRITE);
	if (file->write == FAULT_WAL_WRITE && n > 0 && n <= HELD_BYTES)
		return hold(file, p, n, at);
	rc = let_go(f);
	errno = 0;
	return rc == SQLITE_OK ? outcome(real(f)->pMethods->xWrite(real(f), p, n, at)) : rc;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = let_go(f);

	errno = 0;
	return rc == SQLITE_OK ? outcome(real(f)->pMethods->xTruncate(real(f), size)) : rc;
}

static int file_sync(sqlite3_file *f, int flags)
{
	int rc = let_go(f), sys = fault_hit(((struct file *)f)->sync);

	if (sys)
		return fail(sys, SQLITE_IOERR_FSYNC);
	errno = 0;
	return rc == SQLITE_OK ? outcome(real(f)->pMethods->xSync(real(f), flags)) : rc;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *out)
{
	int rc = let_go(f);

	return rc == SQLITE_OK ? real(f)->pMethods->xFileSize(real(f), out) : rc;
}

static int file_lock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xLock(real(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xUnlock(real(f), level);
}

static int file_check_reserved(sqlite3_file *f, int *out)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
	return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int file_sector_size(sqlite3_file *f)
{
	return real(f)->pMethods->xSectorSize(real(f));
}

static int file_characteristics(sqlite3_file *f)
{
	return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	errno = 0;
	return outcome(real(f)->pMethods->xShmMap(real(f), page, size, extend, out));
}

static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
	real(f)->pMethods->xShmBarrier(real(f));
}

static int file_shm_unmap(sqlite3_file *f, int remove)
{
	return real(f)->pMethods->xShmUnmap(real(f), remove);
}

static const sqlite3_io_methods methods = {
        .iVersion = 2, /* no xFetch: nothing is mapped */
        .xClose = file_close,
        .xRead = file_read,
        .xWrite = file_write,
        .xTruncate = file_truncate,
        .xSync = file_sync,
        .xFileSize = file_size,
        .xLock = file_lock,
        .xUnlock = file_unlock,
        .xCheckReservedLock = file_check_reserved,
        .xFileControl = file_control,
        .xSectorSize = file_sector_size,
        .xDeviceCharacteristics = file_characteristics,
        .xShmMap = file_shm_map,
        .xShmLock = file_shm_lock,
        .xShmBarrier = file_shm_barrier,
        .xShmUnmap = file_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
	struct file *file = (struct file *)f;
	bool wal = (flags & SQLITE_OPEN_WAL) != 0;
	int rc;

	(void)vfs;
	f->pMethods = NULL; /* SQLite closes only what has methods */
	rc = real_vfs->xOpen(real_vfs, name, real(f), flags, out_flags);
	if (rc != SQLITE_OK)
		return rc;
	file->held = NULL;
	file->held_n = 0;
	file->write = wal ? FAULT_WAL_WRITE : FAULT_DB_WRITE;
	file->sync = wal ? FAULT_WAL_SYNC : FAULT_DB_SYNC;
	f->pMethods = &methods;
	return SQLITE_OK;
}

static void set_up(void)
{
	int rc;

	/* Pages one by one as they are needed, not twenty at a time for each of a node's connections, which are idle or have larger caches.
	 * Refused when SQLite was begun before us: then it has what it has. */
	(void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	real_vfs = sqlite3_vfs_find(NULL);
	CHECK(real_vfs);
	shim = *real_vfs;
	shim.pNext = NULL;
	shim.zName = "osier";
	shim.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
	shim.xOpen = shim_open;
	rc = sqlite3_vfs_register(&shim, 0);
	CHECK(rc == SQLITE_OK);
}

const char *journal_vfs(void)
{
	(void)pthread_once(&once, set_up);
	return shim.zName;
}
