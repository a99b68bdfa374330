/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_pg_snapshot - a snapshot in the record, for who has none of its own once history was dropped. See journal_pg.h.
 *
 * Parts of a megabyte, each in a transaction of its own: a large state must not keep the row of `head` locked for longer than a hold
 * lasts. Only when the last part is there does `head` name it, and older ones go.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "io/journal_pg.h"

#define PART_BYTES (1u << 20)

struct pg_upload {
	uint64_t seq;
	int64_t part;
	int fd;
	uint8_t *buffer;
};

void pg_upload_free(struct pg_upload *u)
{
	if (!u)
		return;
	if (u->fd >= 0)
		(void)close(u->fd);
	free(u->buffer);
	free(u);
}

static char *path_of(const char *dir, uint64_t seq)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "snapshot-%llu", (unsigned long long)seq);
	return path_in(dir, name);
}

static struct pg_value i8(int64_t v)
{
	return (struct pg_value){.type = PG_I8, .i8 = v};
}

/* The file stays open while it is sent, whatever becomes of its name. */
static int begin(const char *dir, struct pg_upload **out, struct err *e)
{
	struct snapshot_header *h = must_grow(NULL, sizeof(*h));
	struct pg_upload *u;
	bool found = false;
	char *path;
	int rc = snapshot_find(dir, UINT64_MAX, h, &found, e);

	if (rc == 0 && !found)
		rc = err_set(e, ERR_NOTFOUND, "there is no snapshot that history could be dropped behind");
	if (rc == 0) {
		u = must_grow(NULL, sizeof(*u));
		path = path_of(dir, h->seq);
		*u = (struct pg_upload){.seq = h->seq, .fd = open(path, O_RDONLY | O_CLOEXEC)};
		u->buffer = must_grow(NULL, PART_BYTES);
		if (u->fd < 0) {
			rc = err_sys(e, "cannot open '%s'", path);
			pg_upload_free(u);
		} else {
			*out = u;
		}
		free(path);
	}
	free(h);
	return rc;
}

int pg_upload_part(struct pg *c, const char *dir, struct pg_upload **upload, uint64_t *out_seq, struct err *e)
{
	static const char add[] = "INSERT INTO snapshots (seq, part, bytes) VALUES ($1, $2, $3)"
	                          " ON CONFLICT (seq, part) DO UPDATE SET bytes = excluded.bytes";
	static const char name[] = "UPDATE head SET snapshot = $1";
	static const char tidy[] = "DELETE FROM snapshots WHERE seq <> $1";
	struct pg_upload *u = *upload;
	struct pg_value v[3];
	ssize_t n;

	if (!u && begin(dir, upload, e) < 0)
		return -1;
	u = *upload;
	n = pread(u->fd, u->buffer, PART_BYTES, (off_t)u->part * PART_BYTES);
	if (n < 0)
		return err_sys(e, "cannot read a snapshot");
	v[0] = i8((int64_t)u->seq);
	v[1] = i8(u->part);
	v[2] = (struct pg_value){.type = PG_BYTES, .p = u->buffer, .n = (size_t)n};
	if (n > 0 && pg_run(c, add, v, 3, NULL, e) < 0)
		return -1;
	u->part++;
	if (n == PART_BYTES)
		return 0;
	if (pg_run(c, name, v, 1, NULL, e) < 0 || pg_run(c, tidy, v, 1, NULL, e) < 0)
		return -1;
	*out_seq = u->seq;
	pg_upload_free(u);
	*upload = NULL;
	return 0;
}

/* ---- fetching ---- */

static int write_part(void *ctx, const struct pg_rows *one, struct err *e)
{
	int fd = *(int *)ctx;
	size_t n;
	const uint8_t *p = pg_cell(one, 0, 0, &n);

	return p && write(fd, p, n) == (ssize_t)n ? 0 : err_sys(e, "cannot write a snapshot");
}

static int fetch(struct pg *c, const char *dir, uint64_t seq, struct err *e)
{
	static const char sql[] = "SELECT bytes FROM snapshots WHERE seq = $1 ORDER BY part";
	struct snapshot_header *h = must_grow(NULL, sizeof(*h));
	struct pg_value v = i8((int64_t)seq);
	char *path = path_of(dir, seq), *made = path_in(dir, "snapshot-fetched.tmp");
	bool found = false;
	int fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0)
		rc = err_sys(e, "cannot create '%s'", made);
	if (rc == 0)
		rc = pg_each(c, sql, &v, 1, write_part, &fd, e);
	if (rc == 0 && (fsync(fd) < 0 || rename(made, path) < 0))
		rc = err_sys(e, "cannot put '%s' in its place", path);
	if (rc == 0)
		rc = disk_sync_folder(dir, e);
	if (fd >= 0)
		(void)close(fd);
	(void)unlink(made);
	if (rc == 0 && (snapshot_find(dir, UINT64_MAX, h, &found, e) < 0 || !found || h->seq != seq))
		rc = err_set(e, ERR_CORRUPT, "the snapshot of %llu in the record is damaged",
		        (unsigned long long)seq);
	free(h);
	free(path);
	free(made);
	return rc;
}

int pg_snapshot_fetch(struct pg *c, const char *dir, const struct pg_state *s, struct err *e)
{
	struct snapshot_header *h = must_grow(NULL, sizeof(*h));
	bool found = false;
	int rc = snapshot_find(dir, UINT64_MAX, h, &found, e);

	if (rc == 0 && s->snapshot > 0 && (!found || h->seq < s->drop_before))
		rc = fetch(c, dir, s->snapshot, e);
	free(h);
	return rc;
}
