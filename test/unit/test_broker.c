/* SPDX-License-Identifier: Apache-2.0 */
/* test_broker - facts about the hub's own mosquitto: started, found again, replaced, ended; what it says when it cannot. */
#include "mqtt_help.h"

struct seen {
	struct broker *b;
	unsigned ups, downs;
	bool closed;
	struct err why;
};

static struct seen first, second;
static struct client node;

static void seen_up(void *ctx)
{
	struct seen *s = ctx;

	s->ups++;
}

static void seen_down(void *ctx, const struct broker_down *d)
{
	struct seen *s = ctx;

	s->downs++;
	s->why = d->why;
}

static void seen_closed(void *ctx)
{
	struct seen *s = ctx;

	s->closed = true;
}

static void open_broker(struct seen *s, uint16_t at)
{
	struct broker_options o = {.loop = &loop,
	        .dir = in("hub"),
	        .hub = "plant",
	        .address = "127.0.0.1",
	        .port = at,
	        .on_up = seen_up,
	        .on_down = seen_down,
	        .ctx = s};
	struct err e;

	*s = (struct seen){0};
	if (broker_open(&o, &s->b, &e) < 0)
		fail_msg("%s", e.msg);
}

static void close_broker(struct seen *s, enum broker_close how)
{
	broker_close(s->b, how, seen_closed, s);
	for (unsigned i = 0; i < 100000 && !s->closed; i++)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_true(s->closed);
	s->b = NULL;
}

static bool lives(int pid)
{
	return kill(pid, 0) == 0 &&
	       waitpid(pid, NULL, WNOHANG) != pid; /* one that was found may be our child here */
}

static void node_up(void)
{
	client(&node, "press-4", "press-4", (struct mqtt_options){.filters = {"osier/plant/press-4/down"}});
	WAIT_FOR(node.ups, 1);
}

static int start(void **state)
{
	(void)state;
	return make_world();
}

static int tidy(void **state)
{
	(void)state;
	if (node.m)
		close_client(&node);
	if (first.b)
		close_broker(&first, BROKER_END);
	if (second.b)
		close_broker(&second, BROKER_END);
	(void)unlink(in("hub/mosquitto.pid"));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return drop_world();
}

static void it_listens_when_it_says_so(void **state)
{
	int pid;

	(void)state;
	open_broker(&first, port);
	assert_int_equal(first.ups, 0); /* never from inside a call */
	WAIT_FOR(first.ups, 1);
	assert_true(listens(port));
	pid = broker_pid(first.b);
	assert_true(pid > 1);
	node_up();
	close_client(&node);
	close_broker(&first, BROKER_END);
	assert_false(lives(pid));
	assert_false(listens(port));
}

static void one_that_is_killed_is_started_again(void **state)
{
	int pid;

	(void)state;
	open_broker(&first, port);
	WAIT_FOR(first.ups, 1);
	node_up();
	pid = broker_pid(first.b);
	assert_int_equal(kill(pid, SIGKILL), 0);
	WAIT_FOR(first.downs, 1);
	assert_non_null(strstr(first.why.msg, "killed by signal 9"));
	assert_int_equal(broker_pid(first.b), 0);
	WAIT_FOR(first.ups, 2);
	assert_int_not_equal(broker_pid(first.b), pid);
	WAIT_FOR(node.ups, 2);
}

static void it_outlives_its_engine_and_is_found(void **state)
{
	int pid;

	(void)state;
	open_broker(&first, port);
	WAIT_FOR(first.ups, 1);
	node_up();
	pid = broker_pid(first.b);
	close_broker(&first, BROKER_KEEP);
	assert_true(lives(pid));
	open_broker(&second, port);
	WAIT_FOR(second.ups, 1);
	assert_int_equal(broker_pid(second.b), pid);
	run_for(20);
	assert_int_equal(node.downs, 0);         /* no link noticed */
	assert_int_equal(kill(pid, SIGKILL), 0); /* its end is seen, though it was only found */
	WAIT_FOR(second.downs, 1);
	WAIT_FOR(second.ups, 2);
	WAIT_FOR(node.ups, 2);
	(void)waitpid(pid, NULL, 0);
}

static void another_configuration_replaces_it(void **state)
{
	uint16_t other = free_port();
	int pid;

	(void)state;
	open_broker(&first, port);
	WAIT_FOR(first.ups, 1);
	pid = broker_pid(first.b);
	close_broker(&first, BROKER_KEEP);
	open_broker(&second, other);
	WAIT_FOR(second.ups, 1);
	assert_false(lives(pid));
	assert_false(listens(port));
	assert_true(listens(other));
	close_broker(&second, BROKER_END);
}

static void a_number_that_another_process_has_is_left_alone(void **state)
{
	char text[64];
	struct err e;

	(void)state;
	(void)snprintf(text, sizeof(text), "%d 1\n", getpid());
	assert_int_equal(cert_file_write(in("hub/mosquitto.pid"), text, strlen(text), 0600, &e), 0);
	open_broker(&first, port);
	WAIT_FOR(first.ups, 1);
	assert_int_not_equal(broker_pid(first.b), getpid());
}

static void a_port_that_is_taken_is_said(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	open_broker(&first, ntohs(a.sin_port));
	WAIT_FOR(first.downs, 1);
	if (!strstr(first.why.msg, "in use"))
		fail_msg("%s", first.why.msg);
	assert_int_equal(first.ups, 0);
	(void)close(fd);
	WAIT_FOR(first.ups, 1); /* and when it is free, it is taken */
}

static void who_is_denied_before_it_listens_is_denied_when_it_does(void **state)
{
	const char *denied[] = {"press-4"};
	struct err e;

	(void)state;
	open_broker(&first, port);
	assert_int_equal(broker_reload(first.b, denied, 1, &e), 0);
	WAIT_FOR(first.ups, 1);
	client(&node, "press-4", "press-4",
	        (struct mqtt_options){.filters = {"osier/plant/hub", "osier/plant/press-4/down"}});
	WAIT_FOR(node.ups, 1);
	if (node.downs)
		fail_msg("%s", node.why.msg);
	{
		struct client hub;

		client(&hub, "hub", "hub/client", (struct mqtt_options){.filters = {"osier/plant/+/up"}});
		WAIT_FOR(hub.ups, 1);
		assert_int_equal(publish(&node, "osier/plant/press-4/up", "x", 1, false), 0);
		assert_int_equal(publish(&hub, "osier/plant/press-4/down", "x", 1, false), 0);
		run_for(100);
		assert_int_equal(hub.messages + node.messages, 0);
		assert_int_equal(broker_reload(first.b, NULL, 0, &e), 0);
		for (unsigned i = 0; i < 400 && hub.messages == 0; i++) {
			assert_int_equal(publish(&node, "osier/plant/press-4/up", "x", 1, false), 0);
			run_for(5);
		}
		assert_true(hub.messages > 0);
		close_client(&hub);
	}
}

static void what_it_cannot_write_down_is_refused(void **state)
{
	struct broker_options o = {.loop = &loop,
	        .dir = in("hub"),
	        .hub = "plant",
	        .port = 1,
	        .on_up = seen_up,
	        .on_down = seen_down};
	const char *bad[] = {"press\nuser x"};
	struct err e;
	bool changed;

	(void)state;
	o.address = "0.0.0.0\nlistener 1";
	assert_int_equal(broker_write_conf(&o, &changed, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	o.address = NULL;
	o.hub = "plant/+";
	assert_int_equal(broker_write_conf(&o, &changed, &e), -1);
	assert_int_equal(broker_write_acl(in("hub"), "plant", bad, 1, &e), -1);
	bad[0] = "hub";
	assert_int_equal(broker_write_acl(in("hub"), "plant", bad, 1, &e), -1);
	o.hub = "plant";
	o.program = "/nowhere/mosquitto";
	assert_int_equal(broker_open(&o, &first.b, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	first.b = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(it_listens_when_it_says_so, tidy),
	        cmocka_unit_test_teardown(one_that_is_killed_is_started_again, tidy),
	        cmocka_unit_test_teardown(it_outlives_its_engine_and_is_found, tidy),
	        cmocka_unit_test_teardown(another_configuration_replaces_it, tidy),
	        cmocka_unit_test_teardown(a_number_that_another_process_has_is_left_alone, tidy),
	        cmocka_unit_test_teardown(a_port_that_is_taken_is_said, tidy),
	        cmocka_unit_test_teardown(who_is_denied_before_it_listens_is_denied_when_it_does, tidy),
	        cmocka_unit_test_teardown(what_it_cannot_write_down_is_refused, tidy),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
