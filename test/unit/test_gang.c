/* SPDX-License-Identifier: Apache-2.0 */
/* test_gang - facts about tasks of several members; see core/gang.c. How gangs begin and end is told by stories (sim/stories_gang.c). */
#include "../world.h"

#include "core/gang.h"

static struct world w;
static struct spec s;
static Wire__Gang gang;

/* One node of so many cpus; a job of `tasks` gangs of `size` members of one cpu each. */
static uint64_t begin(uint32_t cpus, uint32_t size, uint64_t tasks)
{
	world_init(&w);
	world_boot(&w);
	world_node(&w, 1, cpus, WIRE__NODE_SET__STATE__UP);
	spec_init(&s, "gang");
	spec_step(&s, "a", tasks);
	wire__gang__init(&gang);
	gang.size = size;
	s.step[0].gang = &gang;
	return 1;
}

static void submit(void)
{
	assert_int_equal(world_submit(&w, &s), 1);
}

static struct step_counts counts(void)
{
	struct step_counts c;

	assert_true(engine_step_counts(w.e, (job_id){1}, 0, &c));
	return c;
}

static void world_again(void)
{
	world_replay_is_equal(&w);
	(void)world_load_is_equal(&w, NULL, NULL);
}

/* The next tick grants all members: the lease of the first. */
static uint64_t granted(uint32_t size)
{
	assert_int_equal(world_tick(&w), size);
	for (uint32_t r = 0; r < size; r++) {
		assert_int_equal(w.last[r]->body_case, WIRE__ENTRY__BODY_LEASE_GRANTED);
		assert_int_equal(w.last[r]->lease_granted->replica, r);
		assert_int_equal(w.last[r]->lease_granted->gang, w.last[0]->lease_granted->lease);
	}
	return w.last[0]->lease_granted->lease;
}

static void over(uint64_t lease, Wire__Outcome o, int32_t code)
{
	struct lease_view l;

	assert_true(engine_lease(w.e, (lease_id){lease}, &l));
	world_results(&w, lease, l.first, 1, o, code);
	(void)world_one(&w, WIRE__ENTRY__BODY_RESULTS);
	world_ended(&w, lease, WIRE__STOP_REASON__DONE);
	(void)world_one(&w, WIRE__ENTRY__BODY_LEASE_ENDED);
}

/* All others are told to stop, and do. */
static void others_stop(uint64_t first, uint32_t size, uint64_t but)
{
	for (uint64_t l = first; l < first + size; l++) {
		if (l == but)
			continue;
		world_tick(&w);
		assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING)->lease_stopping->lease, l);
		assert_int_equal(w.last[0]->lease_stopping->reason, WIRE__STOP_REASON__GANG);
	}
	for (uint64_t l = first; l < first + size; l++)
		if (l != but)
			world_ended(&w, l, WIRE__STOP_REASON__GANG);
}

static void it_succeeds_when_all_members_have(void **state)
{
	uint64_t l;

	(void)state;
	begin(4, 3, 1);
	submit();
	l = granted(3);
	over(l, WIRE__OUTCOME__SUCCEEDED, 0);
	assert_int_equal(counts().leased, 1);
	over(l + 2, WIRE__OUTCOME__SUCCEEDED, 0);
	world_again();
	assert_int_equal(world_job(&w, 1).state, JOB_RUNNING);
	over(l + 1, WIRE__OUTCOME__SUCCEEDED, 0);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	assert_int_equal(world_job(&w, 1).attempts, 1);
	assert_int_equal(engine_gang_result(w.e, (job_id){1}, 0, 0).v, l);
	world_again();
	world_release(&w);
}

static void too_many_members_are_refused_and_fewer_wait(void **state)
{
	(void)state;
	begin(4, 5, 1);
	(void)world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "too_large", "its gang has 5 members, and there is room for 4");
	gang.size = 2;
	gang.apart = 1;
	(void)world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "too_large", "there is room for 1, each on a node of its own");
	gang.apart = 0;
	submit();
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__UP);
	assert_int_equal(world_tick(&w), 0);
	world_node(&w, 1, 2, WIRE__NODE_SET__STATE__UP);
	(void)granted(2);
	world_release(&w);
}

static void quota_and_concurrency_count_every_member(void **state)
{
	Wire__NamespaceSet ns = WIRE__NAMESPACE_SET__INIT;
	Wire__Need quota = WIRE__NEED__INIT, *quotas = &quota;
	struct sched_why why;
	struct step_view v;

	(void)state;
	begin(8, 3, 2);
	s.job.concurrency = 5;
	ns.name = (char *)"default";
	ns.quota = &quotas;
	ns.n_quota = 1;
	quota.name = (char *)"cpu";
	quota.amount = 2000;
	world_do(&w, &(struct command){.kind = CMD_NAMESPACE_SET, .u.namespace_set = &ns});
	assert_int_equal(world_submit(&w, &s), 1);
	assert_int_equal(world_tick(&w), 0);
	assert_true(engine_step(w.e, (job_id){1}, 0, &v));
	assert_true(sched_why(engine_sched(w.e), v.group, w.now, &why));
	assert_int_equal(why.reason, WAIT_QUOTA);
	assert_int_equal(why.needs, 3000);
	quota.amount = 6000;
	world_do(&w, &(struct command){.kind = CMD_NAMESPACE_SET, .u.namespace_set = &ns});
	(void)granted(3);
	assert_int_equal(world_tick(&w), 0); /* six would be more than five */
	assert_true(sched_why(engine_sched(w.e), v.group, w.now, &why));
	assert_int_equal(why.reason, WAIT_CONCURRENCY);
	world_release(&w);
}

static void failure_is_tried_again_as_one_attempt(void **state)
{
	int32_t codes[] = {75};
	struct task_view t;
	uint64_t l;

	(void)state;
	begin(4, 2, 1);
	s.retry[0].max = 5;
	s.retry[0].backoff_ns = s.retry[0].backoff_max_ns = SEC;
	s.retry[0].exit_codes = codes;
	s.retry[0].n_exit_codes = 1;
	submit();
	l = granted(2);
	over(l + 1, WIRE__OUTCOME__FAILED, 75);
	others_stop(l, 2, l + 1);
	assert_int_equal(counts().delayed, 1);
	world_again();
	assert_int_equal(world_tick(&w), 0);
	w.now += 2 * SEC;
	world_tick(&w);
	(void)world_one(&w, WIRE__ENTRY__BODY_EXPIRED);
	l = granted(2);
	over(l, WIRE__OUTCOME__SUCCEEDED, 0);
	over(l + 1, WIRE__OUTCOME__FAILED, 3); /* not worth another try */
	assert_int_equal(world_job(&w, 1).state, JOB_FAILED);
	assert_true(engine_task(w.e, (job_id){1}, 0, 0, &t));
	assert_int_equal(t.outcome, WIRE__OUTCOME__FAILED);
	assert_int_equal(t.attempts, 2);
	assert_int_equal(engine_gang_result(w.e, (job_id){1}, 0, 0).v, l + 1);
	/* 'osier retry' begins with nothing of that. */
	world_job_command(&w, CMD_RETRY, 1);
	assert_int_equal(engine_gang_result(w.e, (job_id){1}, 0, 0).v, 0);
	l = granted(2);
	over(l, WIRE__OUTCOME__SUCCEEDED, 0);
	over(l + 1, WIRE__OUTCOME__SUCCEEDED, 0);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	world_again();
	world_release(&w);
}

static void loss_counts_as_the_step_says(void **state)
{
	uint64_t l;

	(void)state;
	begin(4, 2, 1);
	submit();
	l = granted(2);
	world_ended(&w, l, WIRE__STOP_REASON__KEEPER_LOST);
	others_stop(l, 2, l);
	l = granted(2); /* without a retry, and at once */
	world_release(&w);
	begin(4, 2, 1);
	s.retry[0].not_on_node_loss = 1;
	submit();
	l = granted(2);
	world_ended(&w, l, WIRE__STOP_REASON__KEEPER_LOST);
	others_stop(l, 2, l);
	assert_int_equal(world_job(&w, 1).state, JOB_FAILED);
	world_release(&w);
}

static void cancelled_gang_stops_whole(void **state)
{
	uint64_t l;

	(void)state;
	begin(4, 3, 2);
	submit();
	l = granted(3);
	world_job_command(&w, CMD_CANCEL, 1);
	for (int i = 0; i < 3; i++) {
		world_tick(&w);
		assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING)->lease_stopping->reason,
		        WIRE__STOP_REASON__CANCELLED);
	}
	for (int i = 0; i < 3; i++)
		world_ended(&w, l + (uint64_t)i, WIRE__STOP_REASON__CANCELLED);
	assert_int_equal(world_job(&w, 1).state, JOB_CANCELLED);
	assert_int_equal(counts().stopped, 2);
	world_again();
	world_release(&w);
}

static void gang_that_waits_too_long_fails(void **state)
{
	(void)state;
	begin(4, 2, 1);
	s.step[0].queue_timeout_ns = 10 * SEC;
	submit();
	world_node(&w, 1, 4, WIRE__NODE_SET__STATE__DRAINED);
	w.now += 11 * SEC;
	world_tick(&w);
	(void)world_one(&w, WIRE__ENTRY__BODY_EXPIRED);
	assert_int_equal(world_job(&w, 1).state, JOB_FAILED);
	assert_int_equal(counts().failed, 1);
	world_again();
	world_release(&w);
}

static void what_a_member_is_told(void **state)
{
	static uint8_t secret[16] = {1, 2, 3};
	uint8_t mem[8192] __attribute__((aligned(16)));
	const Wire__Member *m, *n;
	char first[GANG_SECRET_MAX];
	struct lease_view l;
	uint64_t at, port;
	struct arena a;

	(void)state;
	begin(8, 2, 3);
	gang.secret = (ProtobufCBinaryData){sizeof(secret), secret};
	submit();
	at = granted(2);
	assert_true(engine_lease(w.e, (lease_id){at + 1}, &l));
	arena_init(&a, mem, sizeof(mem));
	m = gang_member(w.e, &l, &s.step[0], &a);
	assert_non_null(m);
	assert_true(m->rank == 1 && m->size == 2 && m->gang == at && m->n_hosts == 2);
	assert_string_equal(m->hosts[0], "127.0.0.1");
	assert_in_range(m->port, GANG_PORT_FIRST, GANG_PORT_FIRST + GANG_PORT_COUNT - 1);
	assert_int_equal(strlen(m->secret), 32);
	(void)snprintf(first, sizeof(first), "%s", m->secret);
	port = m->port;
	/* Another gang of the step has another port and another secret; the same member, the same. */
	n = gang_member(w.e, &l, &s.step[0], &a);
	assert_string_equal(n->secret, first);
	at = granted(2);
	assert_true(engine_lease(w.e, (lease_id){at}, &l));
	n = gang_member(w.e, &l, &s.step[0], &a);
	assert_non_null(n);
	assert_int_not_equal(n->port, port);
	assert_string_not_equal(n->secret, first);
	world_again();
	world_release(&w);
}

static void addresses_are_names_and_numbers(void **state)
{
	char longest[GANG_ADDRESS_MAX + 2];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[GANG_ADDRESS_MAX + 1] = '\0';
	assert_true(gang_address_ok("10.0.0.4") && gang_address_ok("2001:db8::4") &&
	            gang_address_ok("press-4.plant"));
	assert_false(gang_address_ok("") || gang_address_ok("a b") || gang_address_ok("a/b") ||
	             gang_address_ok("a,b"));
	assert_false(gang_address_ok("$(reboot)") || gang_address_ok("a\nb") || gang_address_ok(longest));
	assert_true(gang_address_ok(longest + 1));
}

/* Sim seed 7004: it waited for ever. */
static void concurrency_that_no_gang_fits_is_refused(void **state)
{
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;
	struct command cmd = {.kind = CMD_ADJUST, .u.adjust = &m};

	(void)state;
	(void)begin(4, 3, 1);
	submit();
	m.job = 1;
	m.set = WIRE__JOB_ADJUSTED__FIELD__CONCURRENCY;
	m.concurrency = 2;
	world_do(&w, &cmd);
	world_refused(&w, "invalid", "has a gang of 3");
	m.concurrency = 3;
	world_do(&w, &cmd);
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_ADJUSTED);
	m.concurrency = 0;
	world_do(&w, &cmd);
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_ADJUSTED);
	world_release(&w);
}

/* A retry makes the step run again. Sim seed 11195986624326833877 (at 56f3783): it waited for ever. */
static void concurrency_counts_the_gang_of_a_step_that_is_over(void **state)
{
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;
	struct command cmd = {.kind = CMD_ADJUST, .u.adjust = &m};
	uint64_t l;

	(void)state;
	begin(3, 3, 1);
	spec_step(&s, "b", 1);
	submit();
	l = granted(3);
	for (uint32_t r = 0; r < 3; r++)
		over(l + r, WIRE__OUTCOME__SUCCEEDED, 0);
	assert_int_equal(counts().succeeded, 1);
	assert_int_equal(world_job(&w, 1).state, JOB_RUNNING);
	m.job = 1;
	m.set = WIRE__JOB_ADJUSTED__FIELD__CONCURRENCY;
	m.concurrency = 2;
	world_do(&w, &cmd);
	world_refused(&w, "invalid", "has a gang of 3");
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_succeeds_when_all_members_have),
	        cmocka_unit_test(too_many_members_are_refused_and_fewer_wait),
	        cmocka_unit_test(quota_and_concurrency_count_every_member),
	        cmocka_unit_test(concurrency_that_no_gang_fits_is_refused),
	        cmocka_unit_test(concurrency_counts_the_gang_of_a_step_that_is_over),
	        cmocka_unit_test(failure_is_tried_again_as_one_attempt),
	        cmocka_unit_test(loss_counts_as_the_step_says),
	        cmocka_unit_test(cancelled_gang_stops_whole),
	        cmocka_unit_test(gang_that_waits_too_long_fails),
	        cmocka_unit_test(what_a_member_is_told),
	        cmocka_unit_test(addresses_are_names_and_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
