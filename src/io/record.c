/* SPDX-License-Identifier: Apache-2.0 */
/* record - see record.h. */
#include "io/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"

#define FILE_MAX 2048

static int path_of(const char *dir, const char *name, char out[4096], struct err *e)
{
	int n = snprintf(out, 4096, "%s/%s", dir, name);

	return n > 0 && n < 4096 ? 0 : err_set(e, ERR_INVALID, "the state folder's name is too long");
}

static int take_line(struct record *r, const char *line)
{
	const char *value = strchr(line, ' ');
	size_t n = value ? (size_t)(value++ - line) : 0;
	size_t len = value ? strlen(value) : 0;

	if (n == 3 && memcmp(line, "url", 3) == 0 && len <= PG_URL_MAX)
		memcpy(r->url, value, len + 1);
	else if (n == 7 && memcmp(line, "standby", 7) == 0)
		r->standby = strcmp(value, "yes") == 0;
	else if (n == 6 && memcmp(line, "holder", 6) == 0 && len <= RECORD_NAME_MAX)
		memcpy(r->holder, value, len + 1);
	else if (n == 7 && memcmp(line, "journal", 7) == 0 && len <= RECORD_NAME_MAX)
		memcpy(r->journal, value, len + 1);
	else if (n == 5 && memcmp(line, "epoch", 5) == 0)
		r->epoch = strtoull(value, NULL, 10);
	else
		return -1;
	return 0;
}

int record_load(const char *dir, struct record *out, bool *out_found, struct err *e)
{
	char path[4096], text[FILE_MAX + 1], *rest = NULL;
	struct record r = {.url = ""};
	ssize_t n;
	int fd;

	*out_found = false;
	if (path_of(dir, "record", path, e) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return err_sys(e, "cannot open '%s'", path);
	n = read(fd, text, FILE_MAX);
	(void)close(fd);
	if (n < 0)
		return err_sys(e, "cannot read '%s'", path);
	text[n] = '\0';
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (take_line(&r, line) < 0)
			goto damaged;
	if (!r.url[0] || !r.holder[0])
		goto damaged;
	*out = r;
	*out_found = true;
	return 0;
damaged:
	(void)err_set(e, ERR_CORRUPT, "'%s' is damaged", path);
	return err_hint(e, "start with --record URL to write it anew");
}

static int name_holder(const char *dir, struct record *r, struct err *e)
{
	char host[65] = "", *full = realpath(dir, NULL);
	uint64_t random;

	if (!full)
		return err_sys(e, "cannot use the state folder '%s'", dir);
	if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
		(void)snprintf(host, sizeof(host), "host");
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		free(full);
		return err_sys(e, "cannot get a random number");
	}
	(void)snprintf(r->holder, sizeof(r->holder), "%.60s:%.70s#%016" PRIx64, host, full, random);
	for (char *p = r->holder; *p; p++)
		if (*p == '\n')
			*p = '?';
	free(full);
	return 0;
}

int record_own(const char *dir, struct record *r, struct err *e)
{
	struct record fresh = {.url = ""};
	size_t n;

	if (name_holder(dir, &fresh, e) < 0)
		return -1;
	n = (size_t)(strrchr(fresh.holder, '#') - fresh.holder) + 1;
	if (strncmp(r->holder, fresh.holder, n) != 0)
		r->holder[0] = '\0';
	return 0;
}

int record_save(const char *dir, struct record *r, struct err *e)
{
	char made[4096], path[4096], text[FILE_MAX];
	int n, fd, rc = 0;

	if (pg_url_check(r->url, e) < 0 || path_of(dir, "record.new", made, e) < 0 ||
	        path_of(dir, "record", path, e) < 0)
		return -1;
	if (strchr(r->url, '\n'))
		return err_set(e, ERR_INVALID, "the record's URL has a line break in it");
	if (!r->holder[0] && name_holder(dir, r, e) < 0)
		return -1;
	n = snprintf(text, sizeof(text), "url %s\nstandby %s\nholder %s\nepoch %" PRIu64 "\n%s%s%s", r->url,
	        r->standby ? "yes" : "no", r->holder, r->epoch, r->journal[0] ? "journal " : "", r->journal,
	        r->journal[0] ? "\n" : "");
	CHECK(n > 0 && n < (int)sizeof(text));
	fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "cannot create '%s'", made);
	if (write(fd, text, (size_t)n) != n || fsync(fd) < 0)
		rc = err_sys(e, "cannot write '%s'", made);
	(void)close(fd);
	if (rc == 0 && rename(made, path) < 0)
		rc = err_sys(e, "cannot put '%s' in its place", path);
	if (rc < 0)
		(void)unlink(made);
	return rc < 0 ? -1 : disk_sync_folder(dir, e);
}

int record_remove(const char *dir, struct err *e)
{
	char path[4096];

	if (path_of(dir, "record", path, e) < 0)
		return -1;
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, "cannot remove '%s'", path);
	return disk_sync_folder(dir, e);
}
