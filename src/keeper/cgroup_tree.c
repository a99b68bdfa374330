/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup_tree - where on this machine the keeper may make its groups; see cgroup.h. */
#include "keeper/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "keeper/scope.h"
#include "keeper/sys.h"

static const char *const controller_names[CG_N] = {"cpu", "memory", "pids"};

/* Whether word is one of the comma-separated words of list[0..n). */
static bool has_word(const char *list, size_t n, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list, *end = list + n; p < end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t part = comma ? (size_t)(comma - p) : (size_t)(end - p);

		if (part == len && memcmp(p, word, len) == 0)
			return true;
		p += part + 1;
	}
	return false;
}

/* The path of this process in the hierarchy with `controller` (NULL: v2), from /proc/self/cgroup. */
static bool own_path(const char *text, const char *controller, char *out, size_t max)
{
	for (const char *line = text; line && *line;
	        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *a = strchr(line, ':'), *b = a ? strchr(a + 1, ':') : NULL;
		size_t len;

		if (!b)
			continue;
		if (controller ? !has_word(a + 1, (size_t)(b - a - 1), controller) : b != a + 1)
			continue;
		len = strcspn(b + 1, "\n");
		if (len >= max)
			return false;
		memcpy(out, b + 1, len);
		out[len] = '\0';
		return true;
	}
	return false;
}

/* Where the hierarchy with `controller` (NULL: v2) is mounted, and which of its folders is seen there (mountinfo(5)). */
static bool mount_of(FILE *f, const char *controller, char root[256], char point[256])
{
	char line[2048], type[32], super[512];

	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		char *dash = strstr(line, " - ");

		if (!dash || sscanf(line, "%*s %*s %*s %255s %255s", root, point) != 2)
			continue;
		if (sscanf(dash + 3, "%31s %*s %511s", type, super) != 2)
			continue;
		if (!controller && strcmp(type, "cgroup2") == 0)
			return true;
		if (controller && strcmp(type, "cgroup") == 0 && has_word(super, strlen(super), controller))
			return true;
	}
	return false;
}

/* The folder of this process's own group; `top`: of the whole hierarchy as mounted here. */
static bool own_folder(const char *controller, char *out, size_t max, char top[256])
{
	char text[4096], path[512], root[256];
	FILE *f;
	bool found;

	if (sys_read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) < 0 ||
	        !own_path(text, controller, path, sizeof(path)))
		return false;
	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return false;
	found = mount_of(f, controller, root, top);
	(void)fclose(f);
	if (!found)
		return false;
	if (strcmp(root, "/") != 0 && strncmp(path, root, strlen(root)) == 0)
		memmove(path, path + strlen(root), strlen(path) - strlen(root) + 1);
	return (size_t)snprintf(out, max, "%s%s", top, strcmp(path, "/") == 0 ? "" : path) < max;
}

/* Kill whatever is in the groups below `base` and remove them: what a dead predecessor left. */
static void purge(const char *base)
{
	DIR *d = opendir(base);
	struct dirent *en;
	char path[800], text[8192];

	if (!d)
		return;
	while ((en = readdir(d))) {
		if (strncmp(en->d_name, "slot-", 5) != 0)
			continue;
		for (int round = 0; round < 200; round++) {
			(void)snprintf(path, sizeof(path), "%s/%s/pids.max", base, en->d_name);
			(void)sys_write_file(AT_FDCWD, path, "0");
			(void)snprintf(path, sizeof(path), "%s/%s/cgroup.procs", base, en->d_name);
			if (sys_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
				break;
			for (char *p = text; *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : p + strlen(p)) {
				long pid = strtol(p, NULL, 10);

				if (pid > 0)
					(void)kill((pid_t)pid, SIGKILL);
			}
			(void)usleep(1000);
		}
		(void)snprintf(path, sizeof(path), "%s/%s", base, en->d_name);
		(void)rmdir(path);
	}
	(void)closedir(d);
}

static bool make_base(char *base, size_t max, const char *own, const char *hash, const char *probe)
{
	char path[700];

	if ((size_t)snprintf(base, max, "%s/osier-%s", own, hash) >= max)
		return false;
	if (mkdir(base, 0755) < 0 && errno != EEXIST)
		return false;
	(void)snprintf(path, sizeof(path), "%s/%s", base, probe);
	if (access(path, W_OK) < 0)
		return false;
	purge(base);
	return true;
}

/* Beside the machine's other groups and processes all of our slots are one group: when the CPU is scarce it gets what as many
 * plain processes as there are CPUs would get, not what one gets. */
static void give_weight(const struct cgroup_tree *t)
{
	uint64_t cpus = (uint64_t)(sysconf(_SC_NPROCESSORS_ONLN) > 0 ? sysconf(_SC_NPROCESSORS_ONLN) : 1);
	uint64_t most = t->version == 1 ? 256 : 99; /* the kernel's: 262,144 shares, or a weight of 10,000 */
	char path[700], text[32];

	if (!t->base[CG_CPU][0])
		return;
	cpus = cpus < most ? cpus : most;
	(void)snprintf(
	        path, sizeof(path), "%s/%s", t->base[CG_CPU], t->version == 1 ? "cpu.shares" : "cpu.weight");
	/* One more in v2, where the keeper and the engine are in it, too. */
	(void)snprintf(text, sizeof(text), "%" PRIu64, t->version == 1 ? 1024 * cpus : 100 * (cpus + 1));
	(void)sys_write_file(AT_FDCWD, path, text);
}

static bool open_v1(struct cgroup_tree *t, const char *hash)
{
	char own[512], top[256];
	int found = 0;

	for (int c = 0; c < CG_N; c++) {
		if (own_folder(controller_names[c], own, sizeof(own), top) &&
		        make_base(t->base[c], sizeof(t->base[c]), own, hash, "tasks"))
			found++;
		else
			t->base[c][0] = '\0';
		if (t->base[c][0])
			(void)snprintf(t->folder, sizeof(t->folder), "%s", t->base[c]);
	}
	t->version = found ? 1 : 0;
	return found > 0;
}

static void subtree_enable(const char *folder, const char *controllers, bool got[CG_N])
{
	char path[700], word[16];

	(void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", folder);
	for (int c = 0; c < CG_N; c++) {
		(void)snprintf(word, sizeof(word), "+%s", controller_names[c]);
		got[c] =
		        strstr(controllers, controller_names[c]) && sys_write_file(AT_FDCWD, path, word) == 0;
	}
}

static void subtree_disable(const char *folder)
{
	char path[700], word[16];

	(void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", folder);
	for (int c = 0; c < CG_N; c++) {
		(void)snprintf(word, sizeof(word), "-%s", controller_names[c]);
		(void)sys_write_file(AT_FDCWD, path, word);
	}
}

static bool controllers_of(const char *folder, char *out, size_t max)
{
	char path[700];

	(void)snprintf(path, sizeof(path), "%s/cgroup.controllers", folder);
	return sys_read_file(AT_FDCWD, path, out, max) >= 0;
}

/* Whether the whole of the group was left to us: by systemd (Delegate=yes, which it marks so), or as another user's own folder.
 * A group that only happens to be writable, such as a login session's for root, was not. */
static bool delegated(const char *folder)
{
	static const char *const marks[] = {"trusted.delegate", "user.delegate"};
	const char *name = strrchr(folder, '/');
	struct stat st;
	char mark;

	if (name && strncmp(name, "/slot-", 6) == 0)
		return false; /* a task's: its keeper wants it back as it was */
	for (size_t i = 0; i < 2; i++)
		if (getxattr(folder, marks[i], &mark, 1) == 1 && mark == '1')
			return true;
	return geteuid() != 0 && stat(folder, &st) == 0 && st.st_uid == geteuid();
}

/* Every process of the group goes into another. One that is born meanwhile is found by the next look. */
static void move_all(const char *from, const char *into)
{
	char path[700], text[8192];

	for (int round = 0; round < 100; round++) {
		(void)snprintf(path, sizeof(path), "%s/cgroup.procs", from);
		if (sys_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
			return;
		(void)snprintf(path, sizeof(path), "%s/cgroup.procs", into);
		for (char *p = text, *end; (end = strchr(p, '\n')); p = end + 1) {
			*end = '\0';
			(void)sys_write_file(AT_FDCWD, path, p); /* it may have died */
		}
	}
}

/* Try to make the tree in folder `own`. Needs at least one controller unless `bare` will do. */
static bool try_v2(struct cgroup_tree *t, const char *own, const char *hash, bool bare)
{
	char base[512], path[700], controllers[256];
	bool got[CG_N];

	if (!controllers_of(own, controllers, sizeof(controllers)) ||
	        !make_base(base, sizeof(base), own, hash, "cgroup.procs"))
		return false;
	(void)snprintf(path, sizeof(path), "%s/keeper", base);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/keeper/cgroup.procs", base);
	if (sys_write_file(AT_FDCWD, path, "0") < 0)
		return false;
	/* A group whose children have controllers may hold no process, but who started us is in there, too. */
	(void)snprintf(path, sizeof(path), "%s/keeper", base);
	if (delegated(own))
		move_all(own, path);
	subtree_enable(own, controllers, got);
	subtree_enable(base, controllers, got);
	if (!bare && !got[CG_CPU] && !got[CG_MEMORY] && !got[CG_PIDS]) {
		(void)snprintf(path, sizeof(path), "%s/keeper", base);
		move_all(path, own);
		(void)rmdir(path);
		(void)rmdir(base);
		return false;
	}
	for (int c = 0; c < CG_N; c++)
		(void)snprintf(t->base[c], sizeof(t->base[c]), "%s", got[c] ? base : "");
	(void)snprintf(t->own, sizeof(t->own), "%s", own);
	(void)snprintf(t->folder, sizeof(t->folder), "%s", base);
	t->version = 2;
	return true;
}

/* A keeper moved us, FOLDER/osier-HASH/keeper: the groups go beside its own, not below it. One with our hash is dead, and what it
 * left is found there. */
static void leave_keeper(char *own)
{
	char *name = strrchr(own, '/'), *of;

	if (!name || strcmp(name, "/keeper") != 0)
		return;
	*name = '\0';
	of = strrchr(own, '/');
	if (of && strncmp(of, "/osier-", 7) == 0 && strlen(of) == 7 + 16)
		*of = '\0';
	else
		*name = '/';
}

static bool open_v2(struct cgroup_tree *t, const char *hash, bool bare)
{
	char own[512], top[256], path[700];

	if (!own_folder(NULL, own, sizeof(own), top))
		return false;
	leave_keeper(own);
	if (try_v2(t, own, hash, bare))
		return true;
	/* A login session's group holds other processes, so that it cannot have controllers; root may go to the top. */
	if (geteuid() != 0 || strcmp(own, top) == 0)
		return false;
	if (try_v2(t, top, hash, bare))
		return true;
	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", own);
	(void)sys_write_file(AT_FDCWD, path, "0"); /* back from there */
	return false;
}

/* Not from within a task: its limits would not hold what it starts. A killed keeper's scope may still be there, beside ours. */
static bool open_scope(struct cgroup_tree *t, const char *hash)
{
	char own[512], top[256], path[800], ours[32];
	struct dirent *en;
	DIR *d;

	if (!own_folder(NULL, own, sizeof(own), top) || strstr(own, "/slot-") || !scope_enter(hash) ||
	        !own_folder(NULL, own, sizeof(own), top) || !strrchr(own, '/'))
		return false;
	*strrchr(own, '/') = '\0';
	(void)snprintf(ours, sizeof(ours), "osier-%s-", hash);
	d = opendir(own);
	while (d && (en = readdir(d))) {
		if (strncmp(en->d_name, ours, strlen(ours)) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%.400s/%.80s/osier-%s", own, en->d_name, hash);
		purge(path);
	}
	if (d)
		(void)closedir(d);
	return open_v2(t, hash, false);
}

static void say_none(struct cgroup_tree *t, unsigned allow)
{
	const char *mend = "";

	if (!(allow & 6)) {
		(void)snprintf(t->notice, sizeof(t->notice),
		        "cgroups are switched off: limits on memory and processes hold for each process "
		        "alone, CPU shares not at all");
		return;
	}
	if (!(allow & CGROUP_ASK) && scope_possible())
		mend = "; 'sudo loginctl enable-linger $USER' and a new start mend it";
	(void)snprintf(t->notice, sizeof(t->notice),
	        "no permission for cgroups: limits on memory and processes hold for each process alone, "
	        "CPU shares not at all%s",
	        mend);
}

void cgroup_tree_open(struct cgroup_tree *t, const char *hash, unsigned allow)
{
	memset(t, 0, sizeof(*t));
	if ((allow & 4) && open_v2(t, hash, false))
		goto out;
	if ((allow & 2) && open_v1(t, hash))
		goto out;
	if ((allow & 4) && (allow & CGROUP_ASK) && open_scope(t, hash))
		goto out;
	if ((allow & 4) && !(allow & 2) && open_v2(t, hash, true))
		goto out;
	t->version = 0;
	say_none(t, allow);
	return;
out:
	give_weight(t);
	for (int c = 0; c < CG_N; c++)
		if (!t->base[c][0])
			(void)snprintf(t->notice + strlen(t->notice), sizeof(t->notice) - strlen(t->notice),
			        "%sno cgroup controller '%s' here: its limits do not hold",
			        t->notice[0] ? "\n" : "", controller_names[c]);
}

void cgroup_tree_close(struct cgroup_tree *t)
{
	char path[700];

	if (t->version == 0)
		return;
	(void)cgroup_tree_sweep(t);
	if (t->version == 2) {
		(void)snprintf(path, sizeof(path), "%s/keeper", t->folder);
		if (delegated(t->own)) {
			/* It may hold processes again, unless another keeper has groups in it. */
			subtree_disable(t->folder);
			subtree_disable(t->own);
		}
		move_all(path, t->own);
		(void)rmdir(path);
		(void)rmdir(t->folder);
	}
	for (int c = 0; c < CG_N; c++)
		if (t->base[c][0])
			(void)rmdir(t->base[c]);
	t->version = 0;
}
