/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_tasks - facts about how the keeper runs tasks: what they get, what is kept of them, how they are stopped. */
#include "keeper_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT(s) ((struct keeper_text){s, sizeof(s) - 1})

static void end_is(const struct got *g, enum keeper_end end, int code)
{
	if (g->m.u.exited.end != (uint32_t)end || g->m.u.exited.code != code)
		fail_msg("ended %u with code %d, note '%s', stderr '%s'", g->m.u.exited.end,
		        g->m.u.exited.code, g->m.u.exited.note.p, g->m.u.exited.err.p);
}

static void a_task_gets_clean_surroundings(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	s.umask = 027;
	g = rig_run(r, 1, &s,
	        "echo $COLOUR; umask; echo $$ $(ps -o sid= -o pgid= $$); ls -l /proc/self/fd | grep -c -- "
	        "'->'; readlink /proc/$$/fd/0;"
	        "grep -E 'NoNewPrivs|SigIgn|SigBlk' /proc/self/status; stat -c %a .; test $PWD = "
	        "$OSIER_SCRATCH && echo there;"
	        "ulimit -c; ulimit -n; env | cut -d= -f1 | sort | tr '\\n' ' '");
	end_is(g, KEEPER_END_EXIT, 0);
	{
		unsigned long pid, sid, pgid;
		char rest[512], *out = strdup(g->m.u.exited.out.p);

		assert_non_null(out);
		assert_int_equal(
		        sscanf(out, "green\n0027\n%lu %lu %lu\n%511[^$]", &pid, &sid, &pgid, rest), 4);
		assert_int_equal(pid, sid);
		assert_int_equal(pid, pgid);
		assert_string_equal(rest, "4\n/dev/"
		                          "null\nSigBlk:\t0000000000000000\nSigIgn:"
		                          "\t0000000000000000\nNoNewPrivs:\t1\n700\nthere\n0\n1024\n"
		                          "COLOUR OSIER_KEPT OSIER_SCRATCH OSIER_STATE PATH PWD TMPDIR ");
		free(out);
	}
	assert_true(g->m.u.exited.wall_us > 0);
	assert_true(g->m.u.exited.memory_bytes > 100000);
	free(g);
	rig_close(r);
}

static void output_and_exit_code_come_back(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g = rig_run(r, 1, NULL, "printf 'a\\0b'; printf oops >&2; exit 7");

	(void)state;
	end_is(g, KEEPER_END_EXIT, 7);
	assert_int_equal(g->m.u.exited.out.n, 3);
	assert_memory_equal(g->m.u.exited.out.p, "a\0b", 3);
	assert_string_equal(g->m.u.exited.err.p, "oops");
	free(g);
	g = rig_run(r, 2, NULL, "kill -USR1 $$");
	end_is(g, KEEPER_END_SIGNAL, SIGUSR1);
	free(g);
	rig_close(r);
}

static void large_output_is_in_the_spool_until_ack(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g = rig_run(r, 5, NULL, "head -c 300000 /dev/zero | tr '\\0' x; echo small >&2");
	char *text;
	size_t n;

	(void)state;
	end_is(g, KEEPER_END_EXIT, 0);
	assert_int_equal(g->m.flags, KEEPER_OUT_SPOOLED);
	assert_int_equal(g->m.u.exited.out_bytes, 300000);
	assert_int_equal(g->m.u.exited.out.n, 0);
	assert_string_equal(g->m.u.exited.err.p, "small\n");
	free(g);
	text = rig_file(r, "spool/5-0.out", &n);
	assert_non_null(text);
	assert_int_equal(n, 300000);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(text[i], 'x');
	free(text);
	rig_ack(r, 5, 0);
	free(rig_run(r, 6, NULL, "true"));
	assert_null(rig_file(r, "spool/5-0.out", NULL));
	rig_close(r);
}

static void ten_gigabytes_of_output_are_cut_at_the_cap(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	s.output_bytes_max = 100000;
	g = rig_run(r, 1, &s, "head -c 10000000000 /dev/zero");
	end_is(g, KEEPER_END_EXIT, 0);
	assert_int_equal(g->m.u.exited.out_bytes, 100000);
	assert_int_equal(g->m.u.exited.out_dropped, 10000000000u - 100000);
	free(g);
	rig_close(r);
}

static void followed_output_can_be_read_while_it_comes(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_msg m = {.kind = KEEPER_FOLLOW, .lease = 3, .flags = KEEPER_FOLLOWED};
	char *text = NULL;

	(void)state;
	rig_shell(r, 0, 3, 0, NULL, "echo one; sleep 0.3; echo two; sleep 20");
	free(rig_wait(r, KEEPER_STARTED, 3, 0));
	rig_send(r, &m);
	for (int i = 0; i < 200 && (!text || strcmp(text, "one\ntwo\n") != 0); i++) {
		(void)poll(NULL, 0, 20);
		free(text);
		text = rig_file(r, "spool/3-0.out", NULL);
	}
	assert_string_equal(text, "one\ntwo\n");
	free(text);
	rig_stop(r, 3, SIGKILL, 0);
	free(rig_wait(r, KEEPER_EXITED, 3, 0));
	rig_close(r);
}

static void what_cannot_start_says_why(void **state)
{
	static const char *const none[] = {"no-such-program-here", NULL},
	                         *const file[] = {"/no/such/file", NULL}, *const dir[] = {"/etc", NULL},
	                         *const empty[] = {"", NULL};
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	rig_start(r, 0, 1, 0, 0, &s, none);
	rig_start(r, 0, 1, 1, 0, &s, file);
	rig_start(r, 0, 1, 2, 0, &s, dir);
	rig_start(r, 0, 1, 3, 0, &s, empty);
	g = rig_wait(r, KEEPER_EXITED, 1, 0);
	end_is(g, KEEPER_END_CANNOT_START, ENOENT);
	assert_string_equal(g->m.u.exited.note.p, "no such program 'no-such-program-here' in PATH");
	free(g);
	g = rig_wait(r, KEEPER_EXITED, 1, 1);
	end_is(g, KEEPER_END_CANNOT_START, ENOENT);
	assert_string_equal(g->m.u.exited.note.p, "no such file '/no/such/file'");
	free(g);
	g = rig_wait(r, KEEPER_EXITED, 1, 2);
	end_is(g, KEEPER_END_CANNOT_START, EACCES);
	free(g);
	g = rig_wait(r, KEEPER_EXITED, 1, 3);
	end_is(g, KEEPER_END_CANNOT_START, ENOENT);
	free(g);
	s.workdir = TEXT("/no/such/folder");
	g = rig_run(r, 2, &s, "true");
	end_is(g, KEEPER_END_CANNOT_START, ENOENT);
	assert_string_equal(
	        g->m.u.exited.note.p, "cannot enter folder '/no/such/folder': No such file or directory");
	free(g);
	rig_close(r);
}

static void stdin_comes_from_null_text_or_file(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct got *g;

	(void)state;
	g = rig_run(r, 1, &s, "cat | wc -c");
	assert_string_equal(g->m.u.exited.out.p, "0\n");
	free(g);
	s.stdin_kind = KEEPER_STDIN_TEXT;
	s.stdin_ = TEXT("hello\0there");
	g = rig_run(r, 2, &s, "cat");
	assert_int_equal(g->m.u.exited.out.n, 11);
	assert_memory_equal(g->m.u.exited.out.p, "hello\0there", 11);
	free(g);
	rig_blob(r, "ab/cd", "from a blob", 11);
	s.stdin_kind = KEEPER_STDIN_BLOB;
	s.stdin_ = TEXT("ab/cd");
	g = rig_run(r, 3, &s, "cat");
	assert_string_equal(g->m.u.exited.out.p, "from a blob");
	free(g);
	s.stdin_ = TEXT("ab/none");
	g = rig_run(r, 4, &s, "cat");
	end_is(g, KEEPER_END_CANNOT_START, ENOENT);
	free(g);
	rig_close(r);
}

static void inputs_are_there_and_cannot_change_the_blob(void **state)
{
	static uint8_t mem[4096];
	static char big[6 << 20];
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct keeper_file f[] = {{KEEPER_FILE_INLINE, TEXT("a/b/small"), TEXT("inline\n")},
	        {KEEPER_FILE_EXECUTABLE, TEXT("tool"), TEXT("aa/tool")}, {0, TEXT("big"), TEXT("aa/big")}};
	struct got *g;
	char *text;
	size_t n;

	(void)state;
	memset(big, 'B', sizeof(big));
	rig_blob(r, "aa/tool", "#!/bin/sh\necho I am $1\n", 23);
	rig_blob(r, "aa/big", big, sizeof(big));
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(keeper_file_add(&s.inputs, mem, sizeof(mem), &f[i], NULL), 0);
	g = rig_run(r, 1, &s,
	        "cat a/b/small; ./tool here; wc -c <big; chmod 666 big; echo changed >>big; echo changed "
	        ">>tool");
	end_is(g, KEEPER_END_EXIT, 0);
	assert_string_equal(g->m.u.exited.out.p, "inline\nI am here\n6291456\n");
	free(g);
	text = rig_file(r, "blobs/aa/big", &n);
	assert_int_equal(n, sizeof(big));
	assert_memory_equal(text, big, n);
	free(text);
	text = rig_file(r, "blobs/aa/tool", &n);
	assert_int_equal(n, 23);
	free(text);
	rig_close(r);
}

static void outputs_are_moved_to_the_spool(void **state)
{
	static uint8_t mem[4096];
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct keeper_file f[] = {{0, TEXT("res"), TEXT("")}, {KEEPER_FILE_OPTIONAL, TEXT("maybe"), TEXT("")},
	        {0, TEXT("deep/er/res"), TEXT("")}};
	uint64_t sizes[3];
	struct got *g;
	char *text;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(keeper_file_add(&s.outputs, mem, sizeof(mem), &f[i], NULL), 0);
	g = rig_run(r, 1, &s, "mkdir -p deep/er; echo result >res; echo deep >deep/er/res; chmod 0 res");
	end_is(g, KEEPER_END_EXIT, 0);
	assert_int_equal(g->m.u.exited.n_outputs, 3);
	memcpy(sizes, g->m.u.exited.output_bytes, sizeof(sizes));
	assert_int_equal(sizes[0], 7);
	assert_true(sizes[1] == KEEPER_MISSING);
	assert_int_equal(sizes[2], 5);
	free(g);
	text = rig_file(r, "spool/1-0.o0", NULL);
	assert_string_equal(text, "result\n");
	free(text);
	text = rig_file(r, "spool/1-0.o2", NULL);
	assert_string_equal(text, "deep\n");
	free(text);
	g = rig_run(r, 2, &s, "echo only this >res");
	end_is(g, KEEPER_END_OUTPUT_MISSING, 0);
	assert_string_equal(g->m.u.exited.note.p, "no output 'deep/er/res' after exit code 0");
	free(g);
	g = rig_run(r, 3, &s, "exit 3"); /* not looked for after a failure */
	end_is(g, KEEPER_END_EXIT, 3);
	assert_int_equal(g->m.u.exited.n_outputs, 0);
	free(g);
	rig_close(r);
}

static void hostile_outputs_are_refused(void **state)
{
	static const char *const scripts[] = {"ln -s /etc/passwd res", "ln -s /etc dir; ln -s dir/passwd res",
	        "mkdir res", "mkfifo res", "echo x >a; ln a res", "ln -s / up"};
	static uint8_t mem[4096], mem2[4096];
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task(), t = rig_task();
	struct keeper_file f = {0, TEXT("res"), TEXT("")}, up = {0, TEXT("up/etc/passwd"), TEXT("")};

	(void)state;
	assert_int_equal(keeper_file_add(&s.outputs, mem, sizeof(mem), &f, NULL), 0);
	assert_int_equal(keeper_file_add(&t.outputs, mem2, sizeof(mem2), &up, NULL), 0);
	for (uint64_t i = 0; i < 6; i++) {
		struct got *g = rig_run(r, i + 1, i == 5 ? &t : &s, scripts[i]);
		char name[64];

		end_is(g, KEEPER_END_OUTPUT_MISSING, 0);
		free(g);
		(void)snprintf(name, sizeof(name), "spool/%d-0.o0", (int)i + 1);
		assert_null(rig_file(r, name, NULL));
	}
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	rig_close(r);
}

static void scratch_is_empty_for_the_next_task_and_gone_after_the_last(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_msg m = {.kind = KEEPER_RELEASE, .slot = 0};
	char *cmd = NULL;
	struct got *g;

	(void)state;
	rig_shell(r, 0, 1, 0, NULL, "echo x >a; echo y >.b");
	rig_shell(r, 0, 1, 1, NULL, "ls -A | wc -l; mkdir -p d/e/f; touch d/e/g; chmod 000 d");
	rig_shell(r, 0, 1, 2, NULL, "ls -A | wc -l; chmod 755 .");
	rig_shell(r, 0, 1, 3, NULL, "ls -A | wc -l; stat -c %a .");
	g = rig_wait(r, KEEPER_EXITED, 1, 1);
	assert_string_equal(g->m.u.exited.out.p, "0\n");
	free(g);
	g = rig_wait(r, KEEPER_EXITED, 1, 2);
	assert_string_equal(g->m.u.exited.out.p, "0\n");
	free(g);
	g = rig_wait(r, KEEPER_EXITED, 1, 3);
	assert_string_equal(g->m.u.exited.out.p, "0\n700\n");
	free(g);
	rig_send(r, &m);
	assert_true(asprintf(&cmd,
	                    "for i in $(seq 100); do test -z \"$(ls -A %s/scratch)\" && exit 0; sleep 0.05; "
	                    "done; exit 1",
	                    r->dir) > 0);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	rig_close(r);
}

static void timeout_asks_then_kills_with_all_children(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	uint64_t began = rig_now_ms();
	struct got *g;

	(void)state;
	s.timeout_ns = 200000000;
	g = rig_run(r, 1, &s, "trap 'echo asked; exit 4' TERM; sleep 987.1 & wait");
	end_is(g, KEEPER_END_TIMEOUT, 4);
	assert_string_equal(g->m.u.exited.out.p, "asked\n");
	assert_string_equal(g->m.u.exited.note.p, "stopped after 0.200 s, the limit of one attempt");
	free(g);
	g = rig_run(r, 2, &s, "trap '' TERM; (trap '' TERM; sleep 987.2) & sleep 987.3; sleep 987.4");
	end_is(g, KEEPER_END_TIMEOUT, -SIGKILL);
	free(g);
	assert_in_range(rig_now_ms() - began, 400, 10000);
	assert_int_equal(rig_processes("987."), 0);
	rig_close(r);
}

static void timeout_can_be_changed_while_running(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_start s = rig_task();
	struct keeper_msg m = {.kind = KEEPER_ADJUST, .lease = 1};
	struct got *g;

	(void)state;
	s.timeout_ns = 3600u * 1000000000ull;
	rig_shell(r, 0, 1, 0, &s, "sleep 977");
	rig_shell(r, 0, 1, 1, &s, "sleep 977");
	free(rig_wait(r, KEEPER_STARTED, 1, 0));
	m.u.adjust.timeout_ns = 100000000;
	rig_send(r, &m);
	g = rig_wait(r, KEEPER_EXITED, 1, 0);
	end_is(g, KEEPER_END_TIMEOUT, -SIGTERM);
	free(g);
	g = rig_wait(r, KEEPER_EXITED, 1, 1);
	end_is(g, KEEPER_END_TIMEOUT, -SIGTERM);
	free(g);
	rig_close(r);
}

static void stop_drops_the_queue_and_kills_what_ignores_it(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g;

	(void)state;
	rig_shell(r, 0, 1, 0, NULL, "trap '' TERM INT; echo up; while :; do sleep 967.5; done");
	rig_shell(r, 0, 1, 1, NULL, "echo never");
	rig_shell(r, 0, 1, 2, NULL, "echo never");
	rig_shell(r, 1, 2, 0, NULL, "sleep 0.5; echo other");
	free(rig_wait(r, KEEPER_STARTED, 1, 0));
	(void)poll(NULL, 0, 100);
	rig_stop(r, 1, 0, 200);
	g = rig_wait(r, KEEPER_EXITED, 1, 0);
	end_is(g, KEEPER_END_STOPPED, -SIGKILL);
	free(g);
	g = rig_wait(r, KEEPER_STOPPED, 1, 0);
	assert_int_equal(g->m.u.stopped.dropped, 2);
	free(g);
	assert_int_equal(rig_processes("967.5"), 0);
	g = rig_wait(r, KEEPER_EXITED, 2, 0);
	end_is(g, KEEPER_END_EXIT, 0);
	free(g);
	rig_stop(r, 77, 0, 0); /* of a lease that nobody knows: nothing of it is left */
	g = rig_wait(r, KEEPER_STOPPED, 77, 0);
	free(g);
	assert_null(rig_try(r, KEEPER_EXITED, 1, 1, 100));
	rig_close(r);
}

static void children_that_live_on_are_killed_before_the_result(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g;

	(void)state;
	g = rig_run(r, 1, NULL,
	        "sleep 957.1 & setsid sleep 957.2 & (setsid sh -c 'sleep 957.3 & sleep 957.4' &) ; echo "
	        "done");
	end_is(g, KEEPER_END_EXIT, 0);
	assert_string_equal(g->m.u.exited.out.p, "done\n");
	assert_true(g->m.u.exited.leftovers > 0);
	assert_int_equal(rig_processes("957."), 0);
	free(g);
	rig_close(r);
}

static void closed_stdout_does_not_matter(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g = rig_run(r, 1, NULL, "exec >&- 2>&-; sleep 0.1; exit 5");

	(void)state;
	end_is(g, KEEPER_END_EXIT, 5);
	free(g);
	rig_close(r);
}

static void a_slot_goes_on_without_the_engine(void **state)
{
	struct rig *r = rig_open(NULL);

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		rig_shell(r, 0, 1, i, NULL, "echo $OSIER_KEPT | cut -d. -f3");
	for (uint64_t i = 0; i < 100; i++) {
		struct got *g = rig_wait(r, KEEPER_EXITED, 1, i);
		char want[16];

		(void)snprintf(want, sizeof(want), "%d\n", (int)i);
		assert_string_equal(g->m.u.exited.out.p, want);
		free(g);
	}
	rig_shell(r, 0, 1, 50, NULL, "echo again");
	free(rig_wait(r, KEEPER_REFUSED, 1, 50));
	rig_close(r);
}

static void released_slot_is_killed_and_can_be_used_again(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_msg m = {.kind = KEEPER_RELEASE, .slot = 0};
	struct got *g;

	(void)state;
	rig_shell(r, 0, 1, 0, NULL, "sleep 947.1 & sleep 947.2");
	free(rig_wait(r, KEEPER_STARTED, 1, 0));
	rig_send(r, &m);
	rig_shell(r, 0, 2, 0, NULL, "echo new");
	g = rig_wait(r, KEEPER_EXITED, 2, 0);
	assert_string_equal(g->m.u.exited.out.p, "new\n");
	free(g);
	assert_int_equal(rig_processes("947."), 0);
	assert_null(rig_try(r, KEEPER_EXITED, 1, 0, 50));
	rig_close(r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_task_gets_clean_surroundings),
	        cmocka_unit_test(output_and_exit_code_come_back),
	        cmocka_unit_test(large_output_is_in_the_spool_until_ack),
	        cmocka_unit_test(ten_gigabytes_of_output_are_cut_at_the_cap),
	        cmocka_unit_test(followed_output_can_be_read_while_it_comes),
	        cmocka_unit_test(what_cannot_start_says_why),
	        cmocka_unit_test(stdin_comes_from_null_text_or_file),
	        cmocka_unit_test(inputs_are_there_and_cannot_change_the_blob),
	        cmocka_unit_test(outputs_are_moved_to_the_spool),
	        cmocka_unit_test(hostile_outputs_are_refused),
	        cmocka_unit_test(scratch_is_empty_for_the_next_task_and_gone_after_the_last),
	        cmocka_unit_test(timeout_asks_then_kills_with_all_children),
	        cmocka_unit_test(timeout_can_be_changed_while_running),
	        cmocka_unit_test(stop_drops_the_queue_and_kills_what_ignores_it),
	        cmocka_unit_test(children_that_live_on_are_killed_before_the_result),
	        cmocka_unit_test(closed_stdout_does_not_matter),
	        cmocka_unit_test(a_slot_goes_on_without_the_engine),
	        cmocka_unit_test(released_slot_is_killed_and_can_be_used_again),
	};

	return rig_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
