/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_up - `osier up` and `osier down`: the node that stays. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/nodeproc.h"
#include "cli/record_option.h"

#define DOWN_TRIES           3
#define STOPPING_PATIENCE_NS 10000000000ull

static const struct option_def up_options[] = {
        {'f', "foreground", NULL, "stay in the foreground (systemd, containers)", COMPLETE_NOTHING, NULL},
        {0, "engine-user", "NAME", "as root: run the engine as this user; no task runs as root then",
                COMPLETE_NOTHING, NULL},
        {0, "install-service", NULL,
                "install a systemd service that runs this osier, and say how to start it", COMPLETE_NOTHING,
                NULL},
        RECORD_OPTIONS,
        {0},
};

/* sd_notify(3): one datagram to the socket that systemd names. */
static void notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (!n || n >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&a,
	        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	(void)close(fd);
}

/* In a process of its own beside the keeper-to-be: wait for "ready", tell systemd and the user, end. */
static _Noreturn void announce(int fd, const char *dir, pid_t keeper)
{
	char line[600], hello[64];
	size_t n = 0;
	ssize_t k;

	do {
		k = read(fd, line + n, sizeof(line) - 1 - n);
		n += k > 0 ? (size_t)k : 0;
		line[n] = '\0';
	} while (k > 0 && n + 1 < sizeof(line) && !nodeproc_is_ready(line, n));
	if (nodeproc_is_ready(line, n)) {
		(void)snprintf(hello, sizeof(hello), "READY=1\nMAINPID=%d\n", (int)keeper);
		notify(hello);
		if (term_is_tty(stderr))
			(void)dprintf(2, "osier is up on %s (Ctrl-C ends it)\n", dir);
	} else if (strncmp(line, "error ", 6) == 0) {
		char *hint = strstr(line, "\nhint ");

		if (hint)
			*hint = '\0';
		(void)dprintf(2, "osier: %s%s", line + 6, hint ? "" : line[n - 1] == '\n' ? "" : "\n");
		if (hint)
			(void)dprintf(2, "\nhint: %s", hint + 6);
	} else {
		(void)dprintf(2, "osier: the node ended before it was ready\n");
	}
	_exit(0);
}

/* Become the keeper. A grandchild, which nobody has to reap, waits for it to be ready. */
static int foreground(struct cli *c, const char *engine_user)
{
	struct text keeper = {0}, self = {0};
	struct err e = {0};
	char number[16];
	const char *argv[12];
	size_t k = 7;
	pid_t me = getpid(), pid;
	int ready[2];

	if (keeper_path(&keeper, &e) < 0 || self_path(&self, &e) < 0)
		return cli_fail(c, &e);
	if (ready_pipe(ready, &e) < 0)
		return cli_fail(c, &e);
	pid = fork();
	if (pid < 0) {
		(void)err_sys(&e, "cannot start a process");
		return cli_fail(c, &e);
	}
	if (pid == 0) {
		(void)close(ready[1]);
		if (fork() == 0)
			announce(ready[0], c->state_dir, me);
		_exit(0);
	}
	(void)close(ready[0]);
	(void)fcntl(ready[1], F_SETFD, 0);
	(void)waitpid(pid, NULL, 0);
	(void)snprintf(number, sizeof(number), "%d", ready[1]);
	argv[0] = text_str(&keeper);
	argv[1] = "--engine";
	argv[2] = text_str(&self);
	argv[3] = "--state";
	argv[4] = c->state_dir;
	argv[5] = "--ready-fd";
	argv[6] = number;
	k += keeper_user_args(engine_user, argv + k);
	argv[k] = NULL;
	/* announce() tells systemd when the API listens; the keeper would, too early, when it has an engine. */
	(void)unsetenv("NOTIFY_SOCKET");
	(void)execv(argv[0], (char *const *)(uintptr_t)argv);
	(void)err_sys(&e, "cannot start '%.150s'", argv[0]);
	return cli_fail(c, &e);
}

/* What the node says of itself. ERR_CLOSED: it went away instead. */
static json_t *ask_version(struct cli *c, struct err *e)
{
	client_close(c->client);
	c->client = NULL;
	return cli_connect(c, e) < 0 ? NULL : ask_get(c, e, "/v1/version");
}

static int say_up(struct cli *c, bool already, json_t *v)
{
	json_t *n;
	size_t i;

	if (c->json) {
		json_object_set_new(v, "already_up", json_boolean(already));
		json_print(v);
	} else {
		(void)printf("osier %s up: node '%s' on %s%s\n", already ? "was already" : "is",
		        j_str(v, "node"), c->state_dir,
		        json_is_true(json_object_get(json_object_get(v, "record"), "standby"))
		                ? ", standing by"
		                : "");
		json_array_foreach(json_object_get(v, "notices"), i, n)
		        term_note("notice: %s", json_string_value(n) ? json_string_value(n) : "");
		if (!already)
			term_hint("osier submit FILE, osier jobs, osier top; 'osier down' ends it");
	}
	json_decref(v);
	return EXIT_OK;
}

/* ---- the service ---- */

/* As dist/osier.service.in, which says why. */
static const char unit[] =
        "# osier's node. It runs tasks in cgroups of its own below its unit's, hence Delegate.\n"
        "[Unit]\n"
        "Description=osier node\n"
        "Documentation=man:osier(1)\n"
        "\n"
        "[Service]\n"
        "Type=notify\n"
        "NotifyAccess=all\n"
        "ExecStart=%s up --foreground --state %s%s\n"
        "ExecReload=%s down --engine-only --state %s\n"
        "Delegate=yes\n"
        "KillMode=mixed\n"
        "OOMPolicy=continue\n"
        "TasksMax=infinity\n"
        "LimitNOFILE=524288\n"
        "TimeoutStopSec=60\n"
        "Restart=on-failure\n"
        "RestartSec=1\n"
        "RestartPreventExitStatus=78\n"
        "\n"
        "[Install]\n"
        "WantedBy=%s\n";

static int install_service(struct cli *c)
{
	bool root = geteuid() == 0;
	const char *home = getenv("HOME"), *dir = args_value(&c->args, "state");
	struct text path = {0}, self = {0}, folder = {0};
	struct err e = {0};
	FILE *f;

	if (self_path(&self, &e) < 0)
		return cli_fail(c, &e);
	if (root)
		text_add(&folder, "/etc/systemd/system");
	else
		text_addf(&folder, "%s/.config/systemd/user", home ? home : "");
	text_addf(&path, "%s/osier.service", text_str(&folder));
	if (!dir)
		dir = root ? "/var/lib/osier" : c->state_dir;
	f = state_folder_make(text_str(&folder), &e) == 0 ? fopen(text_str(&path), "we") : NULL;
	if (!f) {
		(void)err_sys(&e, "cannot write '%.150s'", text_str(&path));
		return cli_fail(c, &e);
	}
	(void)fprintf(f, unit, text_str(&self), dir, root && getpwnam("osier") ? " --engine-user osier" : "",
	        text_str(&self), dir, root ? "multi-user.target" : "default.target");
	(void)fclose(f);
	(void)printf("wrote %s\n", text_str(&path));
	term_hint("systemctl %sdaemon-reload && systemctl %senable --now osier", root ? "" : "--user ",
	        root ? "" : "--user ");
	text_release(&path);
	text_release(&self);
	text_release(&folder);
	return EXIT_OK;
}

/* --engine-user NAME as the keeper wants it: "UID:GID". */
static int engine_user(const char *name, char out[32], struct err *e)
{
	const struct passwd *p;

	if (!name)
		return 0;
	if (geteuid() != 0)
		return err_set(e, ERR_DENIED, "only root can run the engine as another user");
	p = getpwnam(name);
	if (!p) {
		(void)err_set(e, ERR_NOTFOUND, "there is no user '%.80s'", name);
		return err_hint(e, "make it: useradd --system --no-create-home %.60s", name);
	}
	if (p->pw_uid == 0)
		return err_set(e, ERR_INVALID,
		        "'%.80s' is root; without --engine-user the engine is that already", name);
	(void)snprintf(out, 32, "%u:%u", (unsigned)p->pw_uid, (unsigned)p->pw_gid);
	return 0;
}

/* 1 and its version: a node is up. 0: none. One that is about to end, with its keeper or after it, is waited for. */
static int already_up(struct cli *c, json_t **out, struct err *e)
{
	static const struct timespec pause = {.tv_nsec = 20000000};
	uint64_t until = cli_mono_ns() + STOPPING_PATIENCE_NS;

	for (;;) {
		state_settle(c->state_dir);
		if (!state_answers(c->state_dir) && !state_kept(c->state_dir))
			return 0;
		*out = ask_version(c, e);
		if (*out)
			return 1;
		if (e->code != ERR_CLOSED || cli_mono_ns() > until)
			return -1;
		(void)nanosleep(&pause, NULL);
	}
}

static int run_up(struct cli *c)
{
	struct nodeproc *n = NULL;
	struct err e = {0};
	char user[32] = "";
	json_t *version = NULL;
	int up;

	if (engine_user(args_value(&c->args, "engine-user"), user, &e) < 0)
		return cli_fail(c, &e);
	if (state_folder(args_value(&c->args, "state"), &c->state_dir, &e) < 0)
		return cli_fail(c, &e);
	if (args_flag(&c->args, "install-service"))
		return install_service(c);
	up = already_up(c, &version, &e);
	if (up != 0)
		return up < 0 ? cli_fail(c, &e) : say_up(c, true, version);
	if (state_folder_make(c->state_dir, &e) < 0 || record_option(c, user, &e) < 0)
		return cli_fail(c, &e);
	if (args_flag(&c->args, "foreground") || getenv("NOTIFY_SOCKET"))
		return foreground(c, *user ? user : NULL);
	term_catch_interrupts();
	if (nodeproc_start(c->state_dir, NODE_DETACHED, *user ? user : NULL, &n, &e) < 0)
		return cli_fail(c, &e);
	nodeproc_forget(n);
	version = ask_version(c, &e);
	return version ? say_up(c, false, version) : cli_fail(c, &e);
}

const struct command_def cmd_up = {
        .name = "up",
        .group = GROUP_NODE,
        .usage = "[options]",
        .summary = "start this machine's node, for good",
        .about = "Starts the keeper, which starts the engine, and returns when the node answers. Its "
                 "messages go to node.log in the state "
                 "folder. Jobs that were not finished go on. Under systemd, or with --foreground, it stays "
                 "in the foreground and says "
                 "when it is ready (sd_notify).",
        .examples = "osier up\n"
                    "osier up --state /srv/osier --foreground\n"
                    "osier up --record postgres://osier@db.example.com/osier --standby\n"
                    "sudo osier up --install-service && sudo systemctl enable --now osier",
        .options = up_options,
        .args_max = 0,
        .here = true,
        .run = run_up,
};

/* ---- down ---- */

static const struct option_def down_options[] = {
        {0, "engine-only", NULL, "end the engine alone: the keeper starts a new one, tasks do not notice",
                COMPLETE_NOTHING, NULL},
        {0},
};

/* The process that holds DIR/keeper.lock, as a pidfd, or -1. */
static int keeper_pidfd(const char *dir)
{
	struct text path = {0};
	char number[32];
	FILE *f;
	long pid = 0;

	text_addf(&path, "%s/keeper.lock", dir);
	f = fopen(text_str(&path), "re");
	text_release(&path);
	if (!f)
		return -1;
	if (fgets(number, sizeof(number), f))
		pid = strtol(number, NULL, 10);
	(void)fclose(f);
	return pid > 1 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
}

static int wait_gone(struct cli *c, int pidfd, struct err *e)
{
	struct pollfd p[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = term_interrupt_fd(), .events = POLLIN}};

	if (pidfd < 0)
		return 0;
	for (;;) {
		int n = poll(p, 2, 120000);

		if (n == 0)
			return err_set(e, ERR_SYSTEM,
			        "the node on '%.150s' is still stopping after two minutes", c->state_dir);
		if (n > 0 && p[0].revents)
			return 0;
		if (n > 0)
			return err_set(e, ERR_TIMEOUT, "interrupted");
	}
}

/* There is a keeper without an engine to talk to: it is asked itself, and stops what runs likewise. */
static int end_keeper(struct cli *c, struct err *e)
{
	int pidfd = keeper_pidfd(c->state_dir), rc = 0;

	if (pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
		rc = err_sys(e, "cannot end the keeper of the node on '%.150s'", c->state_dir);
	if (rc == 0)
		rc = wait_gone(c, pidfd, e);
	if (pidfd >= 0)
		(void)close(pidfd);
	if (rc < 0)
		return cli_fail(c, e);
	if (c->json)
		json_print(json_object());
	else
		(void)puts("osier is down");
	return EXIT_OK;
}

static bool is_gone(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return pidfd >= 0 && poll(&p, 1, 0) == 1;
}

static int run_down(struct cli *c)
{
	bool engine_only = args_flag(&c->args, "engine-only");
	struct err e = {0};
	json_t *j;
	int pidfd, rc = 0;

	if (cli_connect(c, &e) < 0) {
		if (e.code == ERR_CLOSED && !engine_only && state_kept(c->state_dir))
			return end_keeper(c, &e);
		if (e.code == ERR_CLOSED)
			(void)err_hint(&e, "there is nothing to end");
		return cli_fail(c, &e);
	}
	term_catch_interrupts();
	pidfd = keeper_pidfd(c->state_dir);
	j = ask(c, "POST", engine_only ? "/v1/shutdown?tasks=keep" : "/v1/shutdown", NULL, &e);
	/* An engine that died over it is started again, and did not hear it; asked twice it goes down once. */
	for (int i = 0; !j && e.code == ERR_CLOSED && !engine_only && i < DOWN_TRIES && !is_gone(pidfd); i++)
		j = ask(c, "POST", "/v1/shutdown", NULL, &e);
	if (!j && !(e.code == ERR_CLOSED && !engine_only && is_gone(pidfd))) {
		if (pidfd >= 0)
			(void)close(pidfd);
		return cli_fail(c, &e);
	}
	if (!j)
		j = json_object();
	if (j_uint(j, "running") && !c->json && !engine_only)
		term_note("stopping %llu running task%s; what was stopped runs again at the next start",
		        (unsigned long long)j_uint(j, "running"), plural(j_uint(j, "running")));
	if (!engine_only)
		rc = wait_gone(c, pidfd, &e);
	if (pidfd >= 0)
		(void)close(pidfd);
	if (rc == 0 && c->json)
		json_print(j);
	else if (rc == 0)
		(void)puts(engine_only ? "the engine ended; the keeper starts a new one" : "osier is down");
	json_decref(j);
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}

const struct command_def cmd_down = {
        .name = "down",
        .group = GROUP_NODE,
        .usage = "[options]",
        .summary = "end this machine's node",
        .about = "Running tasks are stopped (TERM, grace, KILL) and wait again at the next start. Returns "
                 "when everything has ended. Nothing that "
                 "was acknowledged is lost.",
        .examples = "osier down\n"
                    "osier down --engine-only    # take up a new version without touching what runs",
        .options = down_options,
        .args_max = 0,
        .here = true,
        .run = run_down,
};
