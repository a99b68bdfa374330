/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users - what the keeper must know of a user: groups, and how many processes are there; see keeper.h.
 *
 * Reads /etc/passwd and /etc/group itself: libc's ways load plugins and may ask the network. Users from elsewhere (LDAP)
 * have their primary group only. The last answer is kept, since tasks of one user come in rows.
 */
#include "keeper/keeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "keeper/sys.h"

static bool name_of(uint32_t uid, char out[64])
{
	FILE *f = fopen("/etc/passwd", "re");
	char line[1024];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *name_end = strchr(line, ':'), *uid_text = name_end ? strchr(name_end + 1, ':') : NULL;

		if (!uid_text || uid_text[1] < '0' || uid_text[1] > '9' ||
		        strtoul(uid_text + 1, NULL, 10) != uid)
			continue;
		*name_end = '\0';
		found = (size_t)snprintf(out, 64, "%s", line) < 64;
	}
	if (f)
		(void)fclose(f);
	return found;
}

/* Whether `name` is in the comma-separated list, which ends at the line's end. */
static bool member(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*list && *list != '\n') {
		size_t n = strcspn(list, ",\n");

		if (n == len && memcmp(list, name, len) == 0)
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

size_t users_groups(uint32_t uid, uint32_t gid, bool root_too, gid_t *out, size_t max)
{
	static gid_t last[64];
	static size_t n_last;
	static uint32_t last_uid, last_gid;
	static uint64_t last_ns;
	char name[64], line[4096];
	uint64_t now = sys_mono_ns();
	FILE *f;

	if (max > 64)
		max = 64;
	if (n_last && last_uid == uid && last_gid == gid && now - last_ns < 10 * (uint64_t)NS_PER_S) {
		memcpy(out, last, n_last * sizeof(*out));
		return n_last;
	}
	n_last = 0;
	last[n_last++] = gid;
	f = name_of(uid, name) ? fopen("/etc/group", "re") : NULL;
	while (f && n_last < max && fgets(line, sizeof(line), f)) {
		char *a = strchr(line, ':'), *b = a ? strchr(a + 1, ':') : NULL,
		     *c = b ? strchr(b + 1, ':') : NULL;
		gid_t g = b ? (gid_t)strtoul(b + 1, NULL, 10) : 0;

		if (!c || g == gid || (g == 0 && !root_too) || !member(c + 1, name))
			continue;
		last[n_last++] = g;
	}
	if (f)
		(void)fclose(f);
	last_uid = uid;
	last_gid = gid;
	last_ns = now;
	memcpy(out, last, n_last * sizeof(*out));
	return n_last;
}

uint64_t users_processes(uint32_t uid)
{
	static uint64_t last_ns, last;
	static uint32_t last_uid;
	uint64_t now = sys_mono_ns();
	struct dirent *en;
	DIR *d;

	if (last_ns && last_uid == uid && now - last_ns < NS_PER_S)
		return last;
	last = 0;
	d = opendir("/proc");
	while (d && (en = readdir(d))) {
		char path[300], text[2048], *threads;
		struct stat st;

		if (en->d_name[0] < '1' || en->d_name[0] > '9')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/status", en->d_name);
		if (stat(path, &st) < 0 || st.st_uid != uid ||
		        sys_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
			continue;
		threads = strstr(text, "\nThreads:");
		last += threads ? strtoul(threads + 9, NULL, 10) : 1;
	}
	if (d)
		(void)closedir(d);
	last_uid = uid;
	last_ns = now;
	return last;
}
