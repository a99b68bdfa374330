/* SPDX-License-Identifier: Apache-2.0 */
/* fault - see fault.h. */
#include "io/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/check.h"

struct point {
	atomic_bool armed;
	uint64_t left; /* operations until the first failure */
	uint64_t times;
	bool for_ever;
	int sys;
};

static struct point points[FAULT_POINTS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool env_read;

static const char *const names[FAULT_POINTS] = {
        [FAULT_WAL_WRITE] = "wal_write",
        [FAULT_WAL_SYNC] = "wal_sync",
        [FAULT_DB_WRITE] = "db_write",
        [FAULT_DB_SYNC] = "db_sync",
        [FAULT_SNAPSHOT_WRITE] = "snapshot_write",
        [FAULT_SNAPSHOT_SYNC] = "snapshot_sync",
        [FAULT_BLOB_WRITE] = "blob_write",
        [FAULT_BLOB_SYNC] = "blob_sync",
};

static const struct {
	const char *name;
	int sys;
} errnos[] = {
        {"ENOSPC", ENOSPC},
        {"EDQUOT", EDQUOT},
        {"EIO", EIO},
        {"EROFS", EROFS},
        {"EACCES", EACCES},
};

int fault_hit(enum fault_point p)
{
	struct point *f = &points[p];
	int sys = 0;

	if (!atomic_load_explicit(&f->armed, memory_order_relaxed))
		return 0;
	(void)pthread_mutex_lock(&mutex);
	if (f->left > 0) {
		f->left--;
	} else if (atomic_load_explicit(&f->armed, memory_order_relaxed)) {
		sys = f->sys;
		if (!f->for_ever && --f->times == 0)
			atomic_store_explicit(&f->armed, false, memory_order_relaxed);
	}
	(void)pthread_mutex_unlock(&mutex);
	return sys;
}

void fault_arm(enum fault_point p, uint64_t nth, int sys, uint64_t times)
{
	struct point *f = &points[p];

	CHECK(p < FAULT_POINTS && nth > 0 && sys > 0);
	(void)pthread_mutex_lock(&mutex);
	f->left = nth - 1;
	f->sys = sys;
	f->times = times;
	f->for_ever = times == 0;
	atomic_store_explicit(&f->armed, true, memory_order_relaxed);
	(void)pthread_mutex_unlock(&mutex);
}

void fault_disarm_all(void)
{
	(void)pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < FAULT_POINTS; i++)
		atomic_store_explicit(&points[i].armed, false, memory_order_relaxed);
	(void)pthread_mutex_unlock(&mutex);
}

static int parse_one(const char *item, struct err *e)
{
	char point[32], name[16];
	unsigned long long nth = 0, times = 1;
	int fields = sscanf(item, "%31[a-z_]:%llu:%15[A-Z]:%llu", point, &nth, name, &times);

	if (fields < 3 || nth == 0)
		return err_set(e, ERR_INVALID, "'%s' is not POINT:NTH:ERRNO[:TIMES]", item);
	for (size_t p = 0; p < FAULT_POINTS; p++) {
		if (strcmp(names[p], point) != 0)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(errnos); i++) {
			if (strcmp(errnos[i].name, name) == 0) {
				fault_arm((enum fault_point)p, nth, errnos[i].sys, times);
				return 0;
			}
		}
		return err_set(e, ERR_INVALID, "no errno '%s' to fail with", name);
	}
	return err_set(e, ERR_INVALID, "no fault point '%s'", point);
}

int fault_parse(const char *spec, struct err *e)
{
	char copy[512], *save = NULL;

	if (strlen(spec) >= sizeof(copy))
		return err_set(e, ERR_INVALID, "OSIER_FAULT is longer than %zu bytes", sizeof(copy) - 1);
	memcpy(copy, spec, strlen(spec) + 1);
	for (char *item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		if (parse_one(item, e) < 0)
			return err_wrap(e, "OSIER_FAULT");
	}
	return 0;
}

/* What the file says, if we are the one who removes it. */
static const char *from_file(const char *path, char *out, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, room - 1);

	if (fd >= 0)
		(void)close(fd);
	if (n <= 0 || unlink(path) < 0)
		return NULL;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return out;
}

int fault_from_env(struct err *e)
{
	const char *spec = getenv("OSIER_FAULT");
	char text[512];
	bool first;

	(void)pthread_mutex_lock(&mutex);
	first = !env_read;
	env_read = true;
	(void)pthread_mutex_unlock(&mutex);
	if (first && spec && spec[0] == '@')
		spec = from_file(spec + 1, text, sizeof(text));
	return first && spec ? fault_parse(spec, e) : 0;
}
