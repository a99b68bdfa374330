/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_limits - facts about what tasks are held to: memory, processes, CPU, files, users. */
#include "keeper_rig.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MIB   (1u << 20)
#define EATER "awk 'BEGIN { s = \"x\"; for (i = 0; i < 30; i++) s = s s }'" /* of 1 GiB, if it is let */

static void end_is(const struct got *g, enum keeper_end end, int code)
{
	if (g->m.u.exited.end != (uint32_t)end || g->m.u.exited.code != code)
		fail_msg("ended %u with code %d, note '%s', stderr '%s'", g->m.u.exited.end,
		        g->m.u.exited.code, g->m.u.exited.note.p, g->m.u.exited.err.p);
}

/* Leaves the test when this keeper cannot enforce `what` here. */
#define NEEDS(r, what)                                                                                       \
	do {                                                                                                 \
		if (((r)->enforced & (what)) != (what)) {                                                    \
			assert_true(rig_cgroup || rig_as_nobody || (r)->notice[0]);                          \
			print_message("# skipped, not enforced here: %s\n", (r)->notice);                    \
			rig_close(r);                                                                        \
			skip();                                                                              \
		}                                                                                            \
	} while (0)

static void what_is_not_enforced_is_said(void **state)
{
	struct rig *r = rig_open(NULL);
	uint32_t all = KEEPER_CAN_CPU | KEEPER_CAN_MEMORY | KEEPER_CAN_PIDS;

	(void)state;
	if ((r->enforced & all) != all)
		assert_non_null(strstr(r->notice, "limits"));
	if (rig_as_nobody)
		assert_non_null(strstr(r->notice, "not root"));
	if (rig_cgroup && rig_cgroup[0] == '0')
		assert_int_equal(r->enforced & (all | KEEPER_CAN_KILL_ALL), 0);
	rig_close(r);
}

static void out_of_memory_is_told_as_such(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	NEEDS(r, KEEPER_CAN_MEMORY);
	s.memory_bytes = 64 * MIB;
	g = rig_run(r, 1, &s, "exec " EATER);
	end_is(g, KEEPER_END_MEMORY, SIGKILL);
	assert_string_equal(g->m.u.exited.note.p, "killed at 64 MiB, peak 64 MiB");
	assert_int_equal(g->m.u.exited.memory_limit_bytes, 64 * MIB);
	assert_in_range(g->m.u.exited.memory_bytes, 60 * MIB, 64 * MIB);
	free(g);
	g = rig_run(r, 2, &s, EATER "; exit 9");
	end_is(g, KEEPER_END_MEMORY, 9);
	assert_non_null(strstr(g->m.u.exited.note.p, "a process of it was killed at 64 MiB"));
	free(g);
	g = rig_run(r, 3, &s, EATER "; exit 0"); /* it got over it */
	end_is(g, KEEPER_END_EXIT, 0);
	free(g);
	g = rig_run(r, 4, &s, "exit 1"); /* and the next one is not blamed */
	end_is(g, KEEPER_END_EXIT, 1);
	free(g);
	rig_close(r);
}

static void memory_without_cgroups_is_a_limit_of_each_process(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	if (r->enforced & KEEPER_CAN_MEMORY) {
		rig_close(r);
		skip();
	}
	s.memory_bytes = 64 * MIB;
	g = rig_run(r, 1, &s, EATER);
	assert_int_equal(g->m.u.exited.end, KEEPER_END_EXIT);
	assert_int_not_equal(g->m.u.exited.code, 0);
	free(g);
	rig_close(r);
}

static void peak_memory_is_of_the_task_alone(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g;

	(void)state;
	NEEDS(r, KEEPER_CAN_MEMORY);
	g = rig_run(r, 1, NULL,
	        "head -c 60000000 /dev/zero | tail -c 50000000 >/dev/null; head -c 50000000 /dev/zero "
	        ">cached");
	assert_in_range(g->m.u.exited.memory_bytes, 50000000, 200000000);
	free(g);
	g = rig_run(r, 2, NULL, "true");
	assert_in_range(g->m.u.exited.memory_bytes, 1, 16 * MIB);
	free(g);
	rig_close(r);
}

static void memory_limit_can_fall_between_tasks(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	NEEDS(r, KEEPER_CAN_MEMORY);
	s.memory_bytes = 200 * MIB;
	free(rig_run(r, 1, &s, "head -c 12000000 /dev/zero >cached"));
	s.memory_bytes = 4 * MIB;
	g = rig_run(r, 2, &s, "exit 3");
	end_is(g, KEEPER_END_EXIT, 3);
	free(g);
	g = rig_run(r, 3, &s, "exec " EATER);
	end_is(g, KEEPER_END_MEMORY, SIGKILL);
	free(g);
	rig_close(r);
}

static void fork_bomb_ends_with_its_task(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	if (!(r->enforced & KEEPER_CAN_PIDS) && !rig_as_nobody) { /* RLIMIT_NPROC does not hold root */
		print_message("# skipped, not enforced here: %s\n", r->notice);
		rig_close(r);
		skip();
	}
	s.pids_max = 60;
	s.timeout_ns = 700000000;
	g = rig_run(r, 1, &s, "bomb() { bomb | bomb & }; : bomb-937; bomb 2>/dev/null; sleep 937");
	end_is(g, KEEPER_END_TIMEOUT, -SIGTERM);
	free(g);
	assert_int_equal(rig_processes("bomb-937"), 0);
	s.timeout_ns = 0;
	g = rig_run(r, 2, &s,
	        "bomb() { bomb | bomb & }; : bomb-937; bomb 2>/dev/null"); /* its own process ends at once */
	assert_int_equal(g->m.u.exited.end, KEEPER_END_EXIT);
	free(g);
	assert_int_equal(rig_processes("bomb-937"), 0);
	g = rig_run(r, 3, &s, "echo fine"); /* the limit is back where it was */
	assert_string_equal(g->m.u.exited.out.p, "fine\n");
	free(g);
	rig_close(r);
}

static void cpu_quota_holds(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	NEEDS(r, KEEPER_CAN_CPU);
	s.cpu_max_milli = 200;
	g = rig_run(r, 1, &s, "timeout 1 sh -c 'while :; do :; done'");
	end_is(g, KEEPER_END_EXIT, 124);
	assert_in_range(g->m.u.exited.user_us + g->m.u.exited.system_us, 20000, 500000);
	free(g);
	rig_close(r);
}

static void all_slots_together_weigh_as_much_as_the_machine_has_cpus(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char want[32];
	struct got *g;

	(void)state;
	NEEDS(r, KEEPER_CAN_CPU);
	g = rig_run(r, 1, &s,
	        "own() { sed -n \"s/^[0-9]*:$1://p\" /proc/self/cgroup; }\n"
	        "cat /sys/fs/cgroup/cpu$(dirname $(own '[a-z,]*\\<cpu\\>[a-z,]*'))/cpu.shares 2>/dev/null "
	        "||\n"
	        "cat /sys/fs/cgroup$(dirname $(own ''))/cpu.weight");
	(void)snprintf(want, sizeof(want), "%ld\n",
	        r->enforced & KEEPER_CAN_CGROUP_V2 ? 100 * (cpus + 1) : 1024 * cpus);
	assert_string_equal(g->m.u.exited.out.p, want);
	free(g);
	rig_close(r);
}

/* Of /proc/PID/sched: 0 where this kernel has no such file or line. */
static long slice_ns(const char *text)
{
	const char *at = strstr(text, "se.slice");

	at = at ? strchr(at, ':') : NULL;
	return at ? strtol(at + 1, NULL, 10) : 0;
}

static void short_slices_are_for_the_keeper_and_not_for_tasks(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	char path[64], text[8192];
	struct got *g;
	struct utsname os;
	int major, minor;
	FILE *f;
	long own;

	(void)state;
	(void)snprintf(path, sizeof(path), "/proc/%d/sched", (int)r->keeper);
	memset(text, 0, sizeof(text));
	f = fopen(path, "re");
	if (f)
		assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	if (f)
		(void)fclose(f);
	own = slice_ns(text);
	(void)uname(&os);
	if (!own || sscanf(os.release, "%d.%d", &major, &minor) != 2 || major * 100 + minor < 612) {
		rig_close(r);
		skip();
	}
	g = rig_run(r, 1, &s, "sleep 0.1; cat /proc/self/sched");
	if (slice_ns(g->m.u.exited.out.p) <= 100000)
		fail_msg("the task has a slice of %ld ns", slice_ns(g->m.u.exited.out.p));
	assert_int_equal(own, 100000);
	free(g);
	rig_close(r);
}

static void file_size_limit_holds(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	s.file_bytes_max = 100000;
	s.files_max = 77;
	g = rig_run(r, 1, &s, "ulimit -n; exec head -c 200000 /dev/zero >big");
	end_is(g, KEEPER_END_SIGNAL, SIGXFSZ);
	assert_string_equal(g->m.u.exited.out.p, "77\n");
	free(g);
	rig_close(r);
}

static void folder_limit_holds(void **state)
{
	static const char *const ways[] = {
	        "for i in $(seq 2000); do head -c 100000 /dev/zero >f$i; sleep 0.01; done",
	        /* more than is counted at once, and deep */
	        "mkdir -p a/b/c/d; for i in $(seq 900); do : >a/$i; done; for i in $(seq 2000); do "
	        "head -c 100000 /dev/zero >a/b/c/d/$i; sleep 0.01; done",
	        "mkdir $(seq -s / 60 | sed 's/^/x/'); d=.; for i in $(seq 40); do mkdir $d/y; d=$d/y; done; "
	        "while :; do head -c 100000 /dev/zero >$d/$((i += 1)); sleep 0.01; done"};
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	s.file_bytes_max = 5000000;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		g = rig_run(r, 1 + i, &s, ways[i]);
		end_is(g, KEEPER_END_DISK, SIGKILL);
		if (!strstr(g->m.u.exited.note.p, " KiB of disk: 4882 KiB"))
			fail_msg("the note is '%s'", g->m.u.exited.note.p);
		free(g);
	}
	g = rig_run(r, 10, &s,
	        "head -c 4000000 /dev/zero >f; sleep 0.5; rm f; head -c 4000000 /dev/zero >g; sleep 0.5");
	end_is(g, KEEPER_END_EXIT, 0);
	free(g);
	rig_close(r);
}

static void task_runs_as_its_user(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	NEEDS(r, KEEPER_CAN_USERS);
	s.uid = s.gid = 65534;
	g = rig_run(r, 1, &s,
	        "id -u; id -g; id -G; echo x >mine && stat -c %u mine; cat /etc/shadow 2>/dev/null || echo "
	        "denied;"
	        "ls ../../spool 2>/dev/null || echo denied; grep NoNewPrivs /proc/self/status");
	end_is(g, KEEPER_END_EXIT, 0);
	assert_string_equal(
	        g->m.u.exited.out.p, "65534\n65534\n65534\n65534\ndenied\ndenied\nNoNewPrivs:\t1\n");
	free(g);
	g = rig_run(r, 2, &s, "exec no-such-thing");
	end_is(g, KEEPER_END_EXIT, 127);
	free(g);
	{
		static const char *const none[] = {"/no/such/file", NULL};

		rig_start(r, 0, 3, 0, 0, &s, none);
		g = rig_wait(r, KEEPER_EXITED, 3, 0);
		end_is(g, KEEPER_END_CANNOT_START, ENOENT);
		assert_string_equal(g->m.u.exited.note.p, "no such file '/no/such/file'");
		free(g);
	}
	rig_close(r);
}

static void output_of_another_user_is_given_to_the_engine(void **state)
{
	static uint8_t mem[256];
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct keeper_file f = {0, {"res", 3}, {"", 0}};
	struct got *g;
	char cmd[160];

	(void)state;
	NEEDS(r, KEEPER_CAN_USERS);
	s.uid = s.gid = 65534;
	assert_int_equal(keeper_file_add(&s.outputs, mem, sizeof(mem), &f, NULL), 0);
	g = rig_run(r, 1, &s, "echo hi >res; chmod 0 res");
	end_is(g, KEEPER_END_EXIT, 0);
	(void)snprintf(
	        cmd, sizeof(cmd), "test \"$(stat -c '%%u %%a %%s' %s/spool/1-0.o0)\" = '0 600 3'", r->dir);
	assert_int_equal(system(cmd), 0);
	free(g);
	rig_close(r);
}

static void other_users_are_refused_without_the_right(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	if (r->enforced & KEEPER_CAN_USERS) {
		rig_close(r);
		skip();
	}
	s.uid = 0;
	g = rig_run(r, 1, &s, "id");
	end_is(g, KEEPER_END_CANNOT_START, EPERM);
	assert_non_null(strstr(g->m.u.exited.note.p, "cannot run as user 0"));
	free(g);
	rig_close(r);
}

static void root_is_refused_unless_allowed(void **state)
{
	static const char *const more[] = {"--no-root", NULL};
	struct keeper_start s = rig_task();
	struct rig *r;
	struct got *g;

	(void)state;
	if (geteuid() != 0 || rig_as_nobody)
		skip();
	r = rig_open(more);
	s.uid = 65534;
	s.gid = 0;
	g = rig_run(r, 1, &s, "id");
	end_is(g, KEEPER_END_CANNOT_START, EPERM);
	free(g);
	s.uid = 0;
	g = rig_run(r, 2, &s, "id");
	end_is(g, KEEPER_END_CANNOT_START, EPERM);
	assert_non_null(strstr(g->m.u.exited.note.p, "--allow-root"));
	free(g);
	rig_close(r);
}

static void who_hides_is_killed_too(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g;

	(void)state;
	g = rig_run(r, 1, NULL,
	        "(env -i setsid sh -c 'sleep 927.1 & setsid sleep 927.2' &); sleep 0.2; echo out");
	end_is(g, KEEPER_END_EXIT, 0);
	assert_string_equal(g->m.u.exited.out.p, "out\n");
	assert_int_equal(rig_processes("927."), 0);
	free(g);
	rig_close(r);
}

static void neighbours_live_on(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g;

	(void)state;
	rig_shell(r, 1, 2, 0, NULL, "setsid sleep 1 & (sleep 1; echo inner) & wait; echo neighbour");
	free(rig_wait(r, KEEPER_STARTED, 2, 0));
	for (uint64_t i = 0; i < 5; i++) {
		rig_shell(r, 0, 1, i, NULL, "sleep 917.1 & setsid sleep 917.2 & :");
		g = rig_wait(r, KEEPER_EXITED, 1, i);
		end_is(g, KEEPER_END_EXIT, 0);
		free(g);
	}
	g = rig_wait(r, KEEPER_EXITED, 2, 0);
	end_is(g, KEEPER_END_EXIT, 0);
	assert_string_equal(g->m.u.exited.out.p, "inner\nneighbour\n");
	free(g);
	assert_int_equal(rig_processes("917."), 0);
	rig_close(r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_not_enforced_is_said),
	        cmocka_unit_test(out_of_memory_is_told_as_such),
	        cmocka_unit_test(memory_without_cgroups_is_a_limit_of_each_process),
	        cmocka_unit_test(peak_memory_is_of_the_task_alone),
	        cmocka_unit_test(memory_limit_can_fall_between_tasks),
	        cmocka_unit_test(fork_bomb_ends_with_its_task),
	        cmocka_unit_test(cpu_quota_holds),
	        cmocka_unit_test(all_slots_together_weigh_as_much_as_the_machine_has_cpus),
	        cmocka_unit_test(short_slices_are_for_the_keeper_and_not_for_tasks),
	        cmocka_unit_test(file_size_limit_holds),
	        cmocka_unit_test(folder_limit_holds),
	        cmocka_unit_test(task_runs_as_its_user),
	        cmocka_unit_test(output_of_another_user_is_given_to_the_engine),
	        cmocka_unit_test(other_users_are_refused_without_the_right),
	        cmocka_unit_test(root_is_refused_unless_allowed),
	        cmocka_unit_test(who_hides_is_killed_too),
	        cmocka_unit_test(neighbours_live_on),
	};

	return rig_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
