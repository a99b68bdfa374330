/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_doctor - `osier doctor`: is this machine fit for osier, and what to do where not.
 *
 * Each check is a line: ok, warn (something is not enforced or slower) or fail (osier will not work), with how to mend it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/nodeproc.h"

enum verdict { OK, WARN, FAIL };

struct doctor {
	struct cli *c;
	json_t *list;
	int warnings, failures;
};

static void tell(struct doctor *d, enum verdict v, const char *what, const char *found, const char *mend)
{
	static const char *const names[] = {"ok", "warn", "fail"};
	static const enum colour colours[] = {GREEN, YELLOW, RED};
	struct text t = {0};

	d->warnings += v == WARN;
	d->failures += v == FAIL;
	json_array_append_new(d->list, json_pack("{s:s,s:s,s:s,s:s*}", "check", what, "verdict", names[v],
	                                       "found", found, "mend", v == OK ? NULL : mend));
	if (d->c->json)
		return;
	term_paint(&t, stdout, colours[v], names[v]);
	text_pad(&t, 6 - strlen(names[v]));
	text_add(&t, what);
	text_pad(&t, strlen(what) < 14 ? 14 - strlen(what) : 1);
	text_add_clean(&t, found, strlen(found), "");
	(void)puts(text_str(&t));
	if (v != OK && mend && *mend)
		(void)printf("                    mend: %s\n", mend);
	text_release(&t);
}

static void tellf(struct doctor *d, enum verdict v, const char *what, const char *mend, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));
static void tellf(struct doctor *d, enum verdict v, const char *what, const char *mend, const char *fmt, ...)
{
	char found[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(found, sizeof(found), fmt, ap);
	va_end(ap);
	tell(d, v, what, found, mend);
}

static void check_kernel(struct doctor *d)
{
	struct utsname u;
	int major = 0, minor = 0, fd;

	if (uname(&u) < 0 || sscanf(u.release, "%d.%d", &major, &minor) != 2) {
		tell(d, WARN, "kernel", "cannot tell its version", "");
		return;
	}
	fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (fd >= 0)
		(void)close(fd);
	if (major < 5 || (major == 5 && minor < 4) || fd < 0)
		tellf(d, FAIL, "kernel", "use Linux 5.4 or later (pidfd_open)", "Linux %s is too old",
		        u.release);
	else
		tellf(d, OK, "kernel", "", "Linux %s", u.release);
}

/* Is the controller mounted as v1, and can we write there? 0 no, 1 read only, 2 yes. */
static int v1_controller(const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/cgroup.procs", name);
	if (access(path, F_OK) < 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", name);
	return access(path, W_OK) == 0 ? 2 : 1;
}

/* The folder of our own cgroup in the v2 hierarchy, where a delegated one is. */
static bool own_v2(const char *mount, char *out, size_t room)
{
	char line[512];
	FILE *f = fopen("/proc/self/cgroup", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0) {
			(void)snprintf(out, room, "%s%s", mount, line + 3);
			found = true;
		}
	}
	if (f)
		(void)fclose(f);
	return found;
}

/* A login session's group is root's. The user's systemd hands out groups: `run` asks it, `up` where it outlives a logout. */
static void check_scope(struct doctor *d)
{
	char bus[64];

	(void)snprintf(bus, sizeof(bus), "/run/user/%u/bus", (unsigned)geteuid());
	if (access(bus, W_OK) == 0 && access("/usr/bin/busctl", X_OK) == 0 && user_lingers())
		tell(d, OK, "cgroups", "version 2, by way of your systemd", "");
	else if (access(bus, W_OK) == 0 && access("/usr/bin/busctl", X_OK) == 0)
		tell(d, WARN, "cgroups",
		        "version 2, by way of your systemd for 'osier run'; for 'osier up' limits by rlimit "
		        "alone",
		        "let your systemd outlive your logout: sudo loginctl enable-linger $USER");
	else
		tell(d, WARN, "cgroups", "version 2, not ours to write: limits by rlimit alone",
		        "install dbus-user-session and log in again, or run osier as a service: sudo osier "
		        "up "
		        "--install-service");
}

static void check_v2(struct doctor *d, const char *mount)
{
	char own[700], path[800], list[256] = "";
	FILE *f;

	if (!own_v2(mount, own, sizeof(own))) {
		tell(d, WARN, "cgroups", "version 2, but our own group is not to be found", "");
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/cgroup.controllers", own);
	f = fopen(path, "re");
	if (f) {
		if (fgets(list, sizeof(list), f))
			list[strcspn(list, "\n")] = '\0';
		(void)fclose(f);
	}
	if (access(own, W_OK) < 0)
		check_scope(d);
	else if (!strstr(list, "memory") || !strstr(list, "pids"))
		tellf(d, WARN, "cgroups",
		        "delegate memory, cpu and pids to this group (systemd: Delegate=yes)",
		        "version 2, with these controllers only: %s", *list ? list : "none");
	else
		tellf(d, OK, "cgroups", "", "version 2, writable: %s", list);
}

static void check_cgroups(struct doctor *d)
{
	static const char *const wanted[] = {"cpu", "memory", "pids"};
	char missing[64] = "";
	bool v1 = false, locked = false;
	size_t n = 0;

	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
		check_v2(d, "/sys/fs/cgroup");
		return;
	}
	for (size_t i = 0; i < 3; i++) {
		int state = v1_controller(wanted[i]);

		v1 |= state > 0;
		locked |= state == 1;
		if (!state)
			n += (size_t)snprintf(missing + n, sizeof(missing) - n, " %s", wanted[i]);
	}
	if (!v1)
		tell(d, WARN, "cgroups", "none: limits by rlimit alone", "mount cgroups (most systems do)");
	else if (locked)
		tell(d, WARN, "cgroups", "version 1, not ours to write: limits by rlimit alone",
		        "run the node as root: sudo osier up");
	else if (n)
		tellf(d, WARN, "cgroups", "mount the missing controllers", "version 1, without%s", missing);
	else
		tell(d, OK, "cgroups", "version 1 (cpu, memory, pids), writable", "");
}

/* access() alone does not tell of what root may not do either: read-only file systems, /proc. */
static bool writable(const char *dir)
{
	struct text t = {0};
	bool ok;
	int fd;

	text_addf(&t, "%s/.osier-doctor-XXXXXX", dir);
	fd = mkostemp(t.p, O_CLOEXEC);
	ok = fd >= 0;
	if (ok) {
		(void)close(fd);
		(void)unlink(t.p);
	}
	text_release(&t);
	return ok;
}

static void check_disk(struct doctor *d, const char *dir)
{
	char *at = cli_dup(dir), size[32];
	struct statvfs v;
	struct statfs s;
	uint64_t bytes;

	while (access(at, F_OK) < 0 && strrchr(at, '/') && strrchr(at, '/') != at)
		*strrchr(at, '/') = '\0';
	if (statvfs(at, &v) < 0 || statfs(at, &s) < 0) {
		tellf(d, FAIL, "state folder", "choose another with --state DIR", "'%s' cannot be used: %s",
		        dir, strerror(errno));
		free(at);
		return;
	}
	bytes = (uint64_t)v.f_bavail * v.f_frsize;
	(void)size_text(bytes, size, sizeof(size));
	if (!writable(at))
		tellf(d, FAIL, "state folder", "choose another with --state DIR, or mend its permissions",
		        "'%s' cannot be written", dir);
	else
		tellf(d, OK, "state folder", "", "%s", dir);
	if (bytes < 64u << 20 || v.f_favail < 1000)
		tellf(d, FAIL, "disk", "make room; until then submits are refused", "%s free", size);
	else if (bytes < 1u << 30)
		tellf(d, WARN, "disk", "make room before large jobs", "%s free", size);
	else
		tellf(d, OK, "disk", "", "%s free", size);
	if (s.f_type == 0x6969 || s.f_type == (__typeof__(s.f_type))0xff534d42)
		tell(d, WARN, "file system", "the state folder is on a network file system",
		        "put it on a local disk: --state DIR");
	else if (s.f_type == 0x01021994)
		tell(d, WARN, "file system", "the state folder is in memory (tmpfs): a reboot loses it",
		        "put it on a disk: --state DIR");
	free(at);
}

static void check_limits(struct doctor *d)
{
	struct rlimit files = {0}, procs = {0};

	(void)getrlimit(RLIMIT_NOFILE, &files);
	(void)getrlimit(RLIMIT_NPROC, &procs);
	if (files.rlim_max < 4096)
		tellf(d, WARN, "open files", "raise the hard limit (ulimit -Hn, LimitNOFILE=)",
		        "at most %llu", (unsigned long long)files.rlim_max);
	else
		tellf(d, OK, "open files", "", "at most %llu", (unsigned long long)files.rlim_max);
	if (procs.rlim_max != RLIM_INFINITY && procs.rlim_max < 1024)
		tellf(d, WARN, "processes", "raise the hard limit (ulimit -Hu, TasksMax=)", "at most %llu",
		        (unsigned long long)procs.rlim_max);
	else if (procs.rlim_max == RLIM_INFINITY)
		tell(d, OK, "processes", "no limit", "");
	else
		tellf(d, OK, "processes", "", "at most %llu", (unsigned long long)procs.rlim_max);
}

static void check_tools(struct doctor *d)
{
	struct text t = {0};
	struct err e;

	if (access("/bin/sh", X_OK) < 0)
		tell(d, FAIL, "shell", "there is no /bin/sh, which shell commands need",
		        "install dash or bash");
	else
		tell(d, OK, "shell", "/bin/sh", "");
	if (keeper_path(&t, &e) < 0)
		tell(d, FAIL, "osier-keeper", e.msg, e.hint);
	else
		tell(d, OK, "osier-keeper", text_str(&t), "");
	text_release(&t);
}

static void check_clock(struct doctor *d)
{
	struct timex tx = {0};
	int state = adjtimex(&tx);

	if (time(NULL) < 1700000000)
		tell(d, WARN, "clock", "it says a time before this program was written",
		        "set it (timedatectl, hwclock)");
	else if (state == TIME_ERROR || (tx.status & STA_UNSYNC))
		tell(d, WARN, "clock", "not synchronised: absolute deadlines may be off",
		        "run an NTP client (systemd-timesyncd, chrony)");
	else
		tell(d, OK, "clock", "synchronised", "");
}

static bool is_alarm(const json_t *notice)
{
	return json_is_string(notice) && strncmp(json_string_value(notice), "ALARM", 5) == 0;
}

static void check_node(struct doctor *d)
{
	struct cli *c = d->c;
	struct err e = {0};
	json_t *v, *head;
	size_t i;
	json_t *n;

	if (cli_connect_look(c, &e) < 0) {
		if (e.code == ERR_NOTFOUND)
			tell(d, OK, "node", "none is up, nothing has run here yet", "");
		else
			tell(d,
			        e.code == ERR_VERSION || e.code == ERR_CORRUPT || c->node == NULL ? FAIL
			                                                                          : WARN,
			        "journal", e.msg, e.hint);
		return;
	}
	v = ask_get(c, &e, "/v1/version");
	if (!v) {
		tell(d, FAIL, "node", e.msg, e.hint);
		return;
	}
	if (c->node)
		tell(d, OK, "node", "none is up ('osier up' starts one)", "");
	else
		tellf(d, strcmp(j_str(v, "version"), OSIER_VERSION) ? WARN : OK, "node",
		        "osier down --engine-only takes up the new version",
		        "'%s' is up, osier %s, engine %llu", j_str(v, "node"), j_str(v, "version"),
		        (unsigned long long)j_uint(v, "epoch"));
	if (j_bool(v, "disk_full"))
		tell(d, FAIL, "node's disk", "full: nothing is accepted", "make room; it goes on by itself");
	json_array_foreach(json_object_get(v, "notices"), i, n) if (!c->node) tell(
	        d, is_alarm(n) ? FAIL : WARN, "node", json_string_value(n) ? json_string_value(n) : "", "");
	json_decref(v);
	head = ask_get(c, &e, "/v1/journal/head");
	if (head)
		tellf(d, OK, "journal", "", "%llu entries, folded and checked, root %.16s",
		        (unsigned long long)j_uint(head, "size"), j_str(head, "root"));
	else
		tell(d, FAIL, "journal", e.msg, e.hint);
	json_decref(head);
	head = c->node ? NULL : ask_get(c, &e, "/v1/ledger");
	if (head && !j_null(head, "url"))
		tellf(d, OK, "ledger", "", "'%s', %llu entries signed, served at %s", j_str(head, "origin"),
		        (unsigned long long)j_uint(head, "size"), j_str(head, "url"));
	json_decref(head);
}

/* The hub that this node has joined. */
static void check_parent(struct doctor *d, const json_t *hub)
{
	const char *state = j_str(hub, "state"), *why = j_str(hub, "why"),
	           *cert = j_str(hub, "certificate_error");

	if (strcmp(state, "up") == 0)
		tellf(d, OK, "joined", "", "hub '%s' as '%s', %.1f ms away", j_str(hub, "name"),
		        j_str(hub, "as"), 1e3 * j_real(hub, "latency"));
	else if (strcmp(state, "removed") == 0)
		tellf(d, FAIL, "joined", j_str(hub, "hint"), "removed by the hub '%s': %s",
		        j_str(hub, "name"), why);
	else
		tellf(d, strcmp(state, "refused") == 0 ? FAIL : WARN, "joined",
		        *j_str(hub, "hint") ? j_str(hub, "hint") : "it goes on alone until the hub answers",
		        "hub '%s' as '%s': %s%s%s", j_str(hub, "name"), j_str(hub, "as"), state,
		        *why ? ", " : "", why);
	if (*cert)
		tell(d, WARN, "certificate", cert, "it is tried again by itself");
}

/* The nodes that have joined this one. */
static void check_children(struct doctor *d, const json_t *nodes)
{
	struct text away = {0};
	size_t i, n_away = 0, n = 0;
	json_t *v;

	json_array_foreach(nodes, i, v)
	{
		if (j_uint(v, "node") == 1)
			continue;
		n++;
		if (strcmp(j_str(v, "state"), "disconnected") != 0 && strcmp(j_str(v, "state"), "lost") != 0)
			continue;
		if (n_away++ < 5)
			text_addf(&away, "%s%s", n_away > 1 ? ", " : "", j_str(v, "name"));
	}
	if (n_away)
		tellf(d, WARN, "nodes", "'osier nodes' says since when", "%zu of %zu are away: %s%s", n_away,
		        n, text_str(&away), n_away > 5 ? ", ..." : "");
	else
		tellf(d, OK, "nodes", "", "%zu %s joined, all of them here", n, n == 1 ? "has" : "have");
	text_release(&away);
}

static void check_fleet(struct doctor *d)
{
	struct cli *c = d->c;
	struct err e = {0};
	json_t *nodes, *hub;

	if (!c->client || c->node)
		return;
	nodes = ask_get(c, &e, "/v1/nodes");
	hub = ask_get(c, &e, "/v1/hub");
	if (nodes && !j_null(nodes, "hub"))
		check_parent(d, json_object_get(nodes, "hub"));
	if (hub && j_bool(hub, "hub")) {
		tellf(d, OK, "hub", "", "'%s' listens at port %llu", j_str(hub, "name"),
		        (unsigned long long)j_uint(hub, "port"));
		if (!j_null(hub, "broker_error"))
			tellf(d, FAIL, "broker",
			        j_null(hub, "broker") ? "the node's log says more"
			                              : "'osier hub broker FOLDER' writes what it needs",
			        "no node is reached: %s", j_str(hub, "broker_error"));
		if (nodes)
			check_children(d, json_object_get(nodes, "nodes"));
	}
	json_decref(nodes);
	json_decref(hub);
}

static int run(struct cli *c)
{
	struct doctor d = {.c = c, .list = json_array()};
	struct err e = {0};

	if (state_folder(args_value(&c->args, "state"), &c->state_dir, &e) < 0)
		return cli_fail(c, &e);
	check_kernel(&d);
	check_cgroups(&d);
	check_limits(&d);
	check_tools(&d);
	check_clock(&d);
	check_disk(&d, c->state_dir);
	check_node(&d);
	check_fleet(&d);
	if (c->json) {
		json_t *j = json_pack(
		        "{s:O,s:i,s:i}", "checks", d.list, "warnings", d.warnings, "failures", d.failures);

		json_print(j);
		json_decref(j);
	} else if (d.failures) {
		(void)printf("\n%d must be mended before osier works here\n", d.failures);
	} else {
		(void)printf("\nosier works here%s\n", d.warnings ? ", with what the warnings say" : "");
	}
	json_decref(d.list);
	return d.failures ? EXIT_JOB_FAILED : EXIT_OK;
}

const struct command_def cmd_doctor = {
        .name = "doctor",
        .group = GROUP_MORE,
        .usage = "",
        .summary = "check this machine, and say how to mend what is missing",
        .about = "Looks at the kernel, cgroups and what osier may do with them, limits, the clock, the state "
                 "folder and its disk, and the node or its "
                 "journal. Each line is ok, warn (it works, but something is not enforced) or fail, with how "
                 "to mend it. Exit code 1 if "
                 "something fails.",
        .examples = "osier doctor\n"
                    "osier doctor --json | jq '.checks[] | select(.verdict != \"ok\")'",
        .args_max = 0,
        .here = true,
        .run = run,
};
