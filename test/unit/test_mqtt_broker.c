/* SPDX-License-Identifier: Apache-2.0 */
/* test_mqtt_broker - facts about links through a real mosquitto with TLS: what arrives, who is let in, what a loss looks like. */
#include "mqtt_help.h"

#define UP(node)   "osier/plant/" node "/up"
#define DOWN(node) "osier/plant/" node "/down"
#define HERE(node) "osier/plant/" node "/state"

static struct client hub, press, lathe, late;

static void hub_up(void)
{
	client(&hub, "hub", "hub/client",
	        (struct mqtt_options){.filters = {UP("+"), HERE("+")},
	                .will = {.topic = "osier/plant/hub", .payload = "gone", .n = 4, .retain = true}});
	WAIT_FOR(hub.ups, 1);
}

static struct mqtt_options node(const char *down, const char *state)
{
	return (struct mqtt_options){.filters = {down, "osier/plant/hub"},
	        .will = {.topic = state, .payload = "gone", .n = 4, .retain = true}};
}

static void nodes_up(void)
{
	client(&press, "press-4", "press-4", node(DOWN("press-4"), HERE("press-4")));
	client(&lathe, "lathe", "lathe", node(DOWN("lathe"), HERE("lathe")));
	WAIT_FOR(press.ups, 1);
	WAIT_FOR(lathe.ups, 1);
}

static int start(void **state)
{
	(void)state;
	if (make_world() < 0)
		return -1;
	start_mosquitto();
	return 0;
}

static void kill_other(void);

/* A test that failed leaves things behind; the next begins anew. */
static int tidy(void **state)
{
	struct client *all[] = {&hub, &press, &lathe, &late};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		if (all[i]->m)
			close_client(all[i]);
	kill_other();
	if (mosquitto <= 0)
		start_mosquitto();
	return signal_mosquitto(SIGCONT);
}

static int stop(void **state)
{
	(void)state;
	stop_mosquitto(SIGKILL);
	return drop_world();
}

static void frames_of_all_sizes_go_both_ways(void **state)
{
	static const size_t sizes[] = {0, 1, 1000, 16384, 65536, MQTT_PAYLOAD_MAX};
	static char bytes[MQTT_PAYLOAD_MAX + 1];
	struct mqtt_counts n;

	(void)state;
	hub_up();
	nodes_up();
	memset(bytes, 'x', sizeof(bytes));
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		assert_int_equal(publish(&press, UP("press-4"), bytes, sizes[i], false), 0);
		WAIT_FOR(hub.messages, i + 1);
		assert_int_equal(hub.n, sizes[i]);
		assert_string_equal(hub.topic, UP("press-4"));
		assert_int_equal(publish(&hub, DOWN("lathe"), bytes, sizes[i], false), 0);
		WAIT_FOR(lathe.messages, i + 1);
		assert_int_equal(lathe.n, sizes[i]);
	}
	assert_int_equal(press.messages, 0); /* the lathe's are not its */
	assert_int_equal(publish(&press, UP("press-4"), bytes, sizeof(bytes), false), -ERR_INVALID);
	assert_int_equal(publish(&press, "osier/+/up", bytes, 1, false), -ERR_INVALID);
	mqtt_counts(press.m, &n);
	assert_int_equal(n.messages_out, ARRAY_LEN(sizes));
	assert_true(mqtt_rtt_us(press.m) > 0);
	assert_int_equal(mqtt_waiting(press.m), 0);
	close_client(&press), close_client(&lathe), close_client(&hub);
}

static void a_thousand_frames_come_in_order(void **state)
{
	enum { N = 1000, BYTES = 9000 };
	static char bytes[BYTES];

	(void)state;
	hub_up();
	nodes_up();
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(bytes, sizeof(bytes), "%u", i);
		while (publish(&press, UP("press-4"), bytes, BYTES, false) == -ERR_FULL)
			(void)uv_run(&loop, UV_RUN_ONCE);
		if (i % 50 == 49) { /* a window, as the link above has: QoS 0 is not flow control */
			WAIT_FOR(hub.messages, i + 1);
			assert_int_equal(atoi(hub.text), i);
		}
	}
	assert_int_equal(hub.bytes, (size_t)N * BYTES);
	close_client(&press), close_client(&lathe), close_client(&hub);
}

static void what_is_stored_is_told_to_who_comes_later(void **state)
{
	(void)state;
	hub_up();
	nodes_up();
	assert_int_equal(publish(&press, HERE("press-4"), "here", 4, true), 0);
	WAIT_FOR(hub.messages, 1);
	assert_int_equal(hub.retained, 0);
	client(&late, "hub", "hub/client",
	        (struct mqtt_options){.filters = {HERE("+")}}); /* pushes the first off */
	WAIT_FOR(late.messages, 1);
	assert_int_equal(late.retained, 1);
	assert_int_equal(late.ups, 1);
	assert_string_equal(late.text, "here");
	WAIT_FOR(hub.downs, 1);
	assert_int_equal(publish(&press, HERE("press-4"), "", 0, true), 0); /* stored no more */
	WAIT_FOR(late.messages, 2);
	close_client(&hub), close_client(&late), close_client(&press), close_client(&lathe);
}

/* Another process that connects as the press, says so, and sleeps. */
static int other; /* its pid */

static void start_other(void)
{
	other = fork();
	if (other == 0) {
		struct client c;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (uv_loop_fork(&loop) != 0)
			_exit(1);
		client(&c, "press-4", "press-4", node(DOWN("press-4"), HERE("press-4")));
		WAIT_FOR(c.ups, 1);
		(void)publish(&c, HERE("press-4"), "here", 4, true);
		for (;;)
			(void)uv_run(&loop, UV_RUN_ONCE);
	}
	assert_true(other > 0);
}

static void kill_other(void)
{
	if (other <= 0)
		return;
	(void)kill(other, SIGKILL);
	(void)waitpid(other, NULL, 0);
	other = 0;
}

static void a_killed_node_is_told_within_two_seconds(void **state)
{
	uint64_t at;

	(void)state;
	start_other();
	hub_up();
	WAIT_FOR(hub.messages, 1);
	while (strcmp(hub.text, "here") != 0)
		WAIT_FOR(hub.messages, hub.messages + 1);
	at = uv_hrtime();
	kill_other();
	WAIT_FOR(hub.messages, hub.messages + 1);
	assert_true(uv_hrtime() - at < 2 * S_NS);
	assert_string_equal(hub.text, "gone");
	assert_string_equal(hub.topic, HERE("press-4"));
	assert_int_equal(publish(&hub, HERE("press-4"), "", 0, true), 0); /* stored no more */
	WAIT_FOR(hub.messages, hub.messages + 1);
	close_client(&hub);
}

static void who_takes_leave_has_no_will(void **state)
{
	(void)state;
	hub_up();
	nodes_up();
	assert_int_equal(publish(&press, UP("press-4"), "bye", 3, false), 0);
	close_client(&press);
	WAIT_FOR(hub.messages, 1);
	assert_int_equal(publish(&lathe, UP("lathe"), "still", 5, false),
	        0); /* behind what the broker knew of the press */
	WAIT_FOR(hub.messages, 2);
	assert_string_equal(hub.text, "still");
	close_client(&lathe), close_client(&hub);
}

static void both_come_back_when_the_broker_does(void **state)
{
	(void)state;
	hub_up();
	nodes_up();
	stop_mosquitto(SIGKILL);
	WAIT_FOR(hub.downs, 1);
	WAIT_FOR(press.downs, 1);
	WAIT_FOR(lathe.downs, 1);
	assert_false(mqtt_up(press.m));
	assert_int_equal(publish(&press, UP("press-4"), "lost", 4, false), -ERR_CLOSED);
	WAIT_FOR(press.downs, 2);
	assert_false(press.was_up);
	assert_int_equal(press.why.code, ERR_CLOSED);
	if (!strstr(press.why.msg, "nobody listens"))
		fail_msg("%s", press.why.msg);
	start_mosquitto();
	mqtt_hurry(press.m);
	WAIT_FOR(hub.ups, 2);
	WAIT_FOR(press.ups, 2);
	WAIT_FOR(lathe.ups, 2);
	assert_int_equal(publish(&press, UP("press-4"), "back", 4, false), 0);
	WAIT_FOR(hub.messages, 1);
	assert_string_equal(hub.text, "back");
	close_client(&press), close_client(&lathe), close_client(&hub);
}

static void a_new_certificate_is_taken_without_a_will(void **state)
{
	struct ca *c;
	struct cert cert;
	struct err e;

	(void)state;
	hub_up();
	nodes_up();
	c = authority("hub", "plant");
	issue(c, "press-4", "press-5th", real_ns(), 3600, &cert);
	ca_close(c);
	assert_int_equal(
	        mqtt_renew(press.m,
	                &(struct mqtt_tls){in("hub/ca.crt"), in("press-5th.crt"), in("press-5th.key")},
	                MQTT_RENEW_NOW, &e),
	        0);
	WAIT_FOR(press.downs, 1);
	assert_true(press.was_up);
	assert_int_equal(press.pause_ms, 0);
	WAIT_FOR(press.ups, 2);
	assert_int_equal(publish(&press, UP("press-4"), "renewed", 7, false), 0);
	WAIT_FOR(hub.messages, 1);
	assert_string_equal(hub.text, "renewed"); /* and no "gone" before it */
	close_client(&press), close_client(&lathe), close_client(&hub);
}

/* ---- who is let in ---- */

static void refused(const char *file, const char *ca, enum err_code code, const char *word)
{
	char crt[80], key[80];

	(void)snprintf(crt, sizeof(crt), "%s.crt", file);
	(void)snprintf(key, sizeof(key), "%s.key", file);
	client(&late, "press-4", file, (struct mqtt_options){.tls = {in(ca), in(crt), in(key)}});
	WAIT_FOR(late.downs, 1);
	if (late.ups || late.why.code != code || !strstr(late.why.msg, word))
		fail_msg("%s: expected '%s', got %u ups, '%s'", file, word, late.ups, late.why.msg);
	close_client(&late);
}

static void strangers_stay_outside(void **state)
{
	struct ca_revoked revoked = {.at_ns = real_ns()};
	struct ca *ours, *theirs;
	struct cert cert;
	struct err e;

	(void)state;
	ours = authority("hub", "plant");
	theirs = authority("other", "plant");
	issue(theirs, "press-4", "stranger", real_ns(), 3600, &cert);
	issue(ours, "press-4", "old", real_ns() - 100000 * S_NS, 3600, &cert);
	issue(ours, "press-4", "thief", real_ns(), 3600, &cert);
	memcpy(revoked.serial, cert.serial, sizeof(revoked.serial));
	assert_int_equal(ca_crl(ours, &revoked, 1, real_ns(), &e), 0);
	assert_int_equal(signal_mosquitto(SIGHUP), 0);
	refused("press-4", "other/ca.crt", ERR_DENIED, "not of our authority");
	refused("stranger", "hub/ca.crt", ERR_DENIED, "of another authority");
	refused("old", "hub/ca.crt", ERR_DENIED, "expired");
	refused("thief", "hub/ca.crt", ERR_DENIED, "revoked");
	refused("hub/server", "hub/ca.crt", ERR_DENIED, "refused our certificate"); /* not made for clients */
	refused("missing", "hub/ca.crt", ERR_INVALID, "cannot read our certificate");
	assert_int_equal(ca_crl(ours, NULL, 0, real_ns(), &e), 0);
	ca_close(ours), ca_close(theirs);
	assert_int_equal(signal_mosquitto(SIGHUP), 0);
}

static void a_certificate_for_another_name_is_refused(void **state)
{
	(void)state;
	client(&late, "lathe", "lathe", (struct mqtt_options){.host = "localhost"});
	WAIT_FOR(late.ups, 1);
	close_client(&late);
	client(&late, "lathe", "lathe",
	        (struct mqtt_options){.host = "127.1"}); /* the same machine by another name */
	WAIT_FOR(late.downs, 1);
	assert_int_equal(late.ups, 0);
	assert_int_equal(late.why.code, ERR_DENIED);
	assert_non_null(strstr(late.why.msg, "another name"));
	close_client(&late);
}

static void a_node_has_only_its_own_topics(void **state)
{
	(void)state;
	hub_up();
	client(&press, "press-4", "press-4", node(DOWN("press-4"), HERE("press-4")));
	WAIT_FOR(press.ups, 1);
	/* The lathe tries to hear and to be the press, and everything. */
	client(&lathe, "press-4", "lathe",
	        (struct mqtt_options){.filters = {DOWN("press-4"), "#", UP("+"), DOWN("lathe")},
	                .will = {.topic = HERE("press-4"), .payload = "gone", .n = 4}});
	WAIT_FOR(lathe.ups, 1);
	assert_int_equal(publish(&hub, DOWN("press-4"), "for the press", 13, false), 0);
	assert_int_equal(publish(&hub, DOWN("lathe"), "for the lathe", 13, false), 0);
	WAIT_FOR(press.messages, 1);
	WAIT_FOR(lathe.messages, 1);
	assert_string_equal(lathe.text, "for the lathe");
	assert_int_equal(publish(&lathe, UP("press-4"), "forged", 6, false), 0);
	assert_int_equal(publish(&lathe, HERE("press-4"), "forged", 6, true), 0);
	assert_int_equal(publish(&lathe, DOWN("press-4"), "forged", 6, false), 0);
	assert_int_equal(publish(&lathe, "osier/plant/hub", "forged", 6, true), 0);
	assert_int_equal(publish(&lathe, DOWN("lathe"), "forged", 6, false), 0);
	assert_int_equal(publish(&lathe, UP("lathe"), "mine", 4, false), 0);
	WAIT_FOR(hub.messages, 1);
	assert_string_equal(hub.text, "mine");
	assert_int_equal(publish(&press, UP("press-4"), "here", 4, false), 0);
	WAIT_FOR(hub.messages, 2);
	assert_int_equal(press.downs, 0); /* its name, as client id, did not push it off */
	assert_int_equal(press.messages, 1);
	assert_int_equal(lathe.messages, 1);
	close_client(&press), close_client(&lathe), close_client(&hub);
}

static void a_denied_node_is_cut_off_at_once(void **state)
{
	const char *denied[] = {"lathe"};
	struct err e;

	(void)state;
	hub_up();
	nodes_up();
	assert_int_equal(broker_write_acl(in("hub"), "plant", denied, 1, &e), 0);
	assert_int_equal(signal_mosquitto(SIGHUP), 0);
	for (unsigned heard = hub.messages, i = 0; i < 400; i++) { /* until the broker has read it */
		assert_int_equal(publish(&lathe, UP("lathe"), "out", 3, false), 0);
		assert_int_equal(publish(&press, UP("press-4"), "in", 2, false), 0);
		while (strcmp(hub.text, "in") != 0 || hub.messages == heard)
			WAIT_FOR(hub.messages, hub.messages + 1);
		if (hub.messages == heard + 1)
			break;
		heard = hub.messages;
		hub.text[0] = '\0';
		run_for(5);
	}
	hub.messages = 0;
	assert_int_equal(publish(&lathe, UP("lathe"), "out", 3, false), 0);
	run_for(50);
	assert_int_equal(publish(&press, UP("press-4"), "in", 2, false), 0);
	WAIT_FOR(hub.messages, 1);
	assert_string_equal(hub.text, "in");
	assert_int_equal(publish(&hub, DOWN("lathe"), "x", 1, false), 0);
	run_for(50);
	assert_int_equal(lathe.messages, 0);
	close_client(&press), close_client(&lathe), close_client(&hub);
	assert_int_equal(broker_write_acl(in("hub"), "plant", NULL, 0, &e), 0);
	assert_int_equal(signal_mosquitto(SIGHUP), 0);
}

/* ---- too much ---- */

static void what_waits_is_bounded_and_room_is_told(void **state)
{
	static char bytes[MQTT_PAYLOAD_MAX];
	unsigned sent = 0;
	int rc;

	(void)state;
	nodes_up();
	assert_int_equal(signal_mosquitto(SIGSTOP), 0); /* a broker that hangs */
	while ((rc = publish(&press, UP("press-4"), bytes, sizeof(bytes), false)) == 0)
		assert_true(++sent < 1000);
	assert_int_equal(rc, -ERR_FULL);
	assert_true(mqtt_waiting(press.m) <= MQTT_WAITING_MAX);
	assert_true(mqtt_waiting(press.m) > MQTT_WAITING_MAX / 2);
	run_for(20);
	assert_int_equal(press.rooms, 0);
	assert_int_equal(signal_mosquitto(SIGCONT), 0);
	WAIT_FOR(press.rooms, 1);
	assert_int_equal(publish(&press, UP("press-4"), bytes, 1, false), 0);
	assert_int_equal(press.downs, 0);
	close_client(&press), close_client(&lathe);
}

static void a_reader_that_sleeps_costs_the_broker_a_bounded_queue(void **state)
{
	enum { BYTES = 65536, N = 4000 }; /* four times what may wait for it */
	static char bytes[BYTES];
	unsigned sent = 0;
	char line[256], path[64];
	long peak_kb = 0;
	FILE *f;

	(void)state;
	start_other();
	hub_up();
	WAIT_FOR(hub.messages, 1);
	assert_int_equal(kill(other, SIGSTOP), 0);
	while (sent < N) {
		if (publish(&hub, DOWN("press-4"), bytes, BYTES, false) == 0)
			sent++;
		else
			(void)uv_run(&loop, UV_RUN_ONCE);
	}
	assert_true(mqtt_up(hub.m));
	(void)snprintf(path, sizeof(path), "/proc/%d/status", mosquitto);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %ld", &peak_kb) == 1)
			break;
	(void)fclose(f);
	assert_in_range(peak_kb, 1, 2 * (BROKER_QUEUED_MAX * (BYTES / 1024)));
	kill_other();
	assert_int_equal(publish(&hub, HERE("press-4"), "", 0, true), 0);
	close_client(&hub);
}

static void it_may_be_closed_at_any_moment(void **state)
{
	(void)state;
	for (unsigned turns = 0; turns < 12; turns++) {
		client(&press, "press-4", "press-4",
		        (struct mqtt_options){.host = turns % 2 ? "localhost" : NULL});
		for (unsigned i = 0; i < turns; i++)
			(void)uv_run(&loop, UV_RUN_NOWAIT);
		close_client(&press);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(frames_of_all_sizes_go_both_ways, tidy),
	        cmocka_unit_test_teardown(a_thousand_frames_come_in_order, tidy),
	        cmocka_unit_test_teardown(what_is_stored_is_told_to_who_comes_later, tidy),
	        cmocka_unit_test_teardown(a_killed_node_is_told_within_two_seconds, tidy),
	        cmocka_unit_test_teardown(who_takes_leave_has_no_will, tidy),
	        cmocka_unit_test_teardown(both_come_back_when_the_broker_does, tidy),
	        cmocka_unit_test_teardown(a_new_certificate_is_taken_without_a_will, tidy),
	        cmocka_unit_test_teardown(strangers_stay_outside, tidy),
	        cmocka_unit_test_teardown(a_certificate_for_another_name_is_refused, tidy),
	        cmocka_unit_test_teardown(a_node_has_only_its_own_topics, tidy),
	        cmocka_unit_test_teardown(a_denied_node_is_cut_off_at_once, tidy),
	        cmocka_unit_test_teardown(what_waits_is_bounded_and_room_is_told, tidy),
	        cmocka_unit_test_teardown(a_reader_that_sleeps_costs_the_broker_a_bounded_queue, tidy),
	        cmocka_unit_test_teardown(it_may_be_closed_at_any_moment, tidy),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
