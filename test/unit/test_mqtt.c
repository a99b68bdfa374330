/* SPDX-License-Identifier: Apache-2.0 */
/* test_mqtt - facts about a client whose broker is none: silent, rude, talking nonsense, or endless; and about its pauses. */
#include <openssl/ssl.h>
#include <pthread.h>

#include "mqtt_help.h"

enum manner { SILENT, RUDE, PLAIN_TEXT, TLS_NONSENSE, TLS_ENDLESS, TLS_SILENT };

static struct {
	int fd;
	_Atomic enum manner manner;
	pthread_t thread;
	SSL_CTX *ctx;
} server;
static struct client c;

static void speak_tls(int fd)
{
	/* PUBLISH, 100 MB long, after a CONNACK and a SUBACK that are in order */
	static const uint8_t endless[] = {
	        0x20, 2, 0, 0, 0x90, 3, 0, 1, 0, 0x30, 0x80, 0xc2, 0xd7, 0x2f, 0, 1, 'x'};
	static const uint8_t nonsense[] = {0xf0, 0}; /* a kind of packet that there is not */
	static uint8_t junk[16384];
	SSL *ssl = SSL_new(server.ctx);
	char byte;

	(void)SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		if (server.manner == TLS_NONSENSE)
			(void)SSL_write(ssl, nonsense, sizeof(nonsense));
		if (server.manner == TLS_ENDLESS && SSL_write(ssl, endless, sizeof(endless)) > 0)
			for (unsigned i = 0; i < 6000 && SSL_write(ssl, junk, sizeof(junk)) > 0; i++)
				;
		while (SSL_read(ssl, &byte, 1) > 0)
			;
	}
	SSL_free(ssl);
}

static void *serve(void *ctx)
{
	(void)ctx;
	for (;;) {
		int fd = accept(server.fd, NULL, NULL);
		char bytes[512];

		if (fd < 0)
			return NULL;
		if (server.manner == PLAIN_TEXT)
			(void)send(fd, "220 mail.example ESMTP\r\n", 24, MSG_NOSIGNAL);
		if (server.manner == SILENT || server.manner == PLAIN_TEXT)
			while (read(fd, bytes, sizeof(bytes)) > 0)
				;
		if (server.manner >= TLS_NONSENSE)
			speak_tls(fd);
		(void)close(fd);
	}
}

static int start(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	(void)state;
	if (make_world() < 0)
		return -1;
	server.ctx = SSL_CTX_new(TLS_server_method());
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (SSL_CTX_use_certificate_chain_file(server.ctx, in("hub/server.crt")) != 1 ||
	        SSL_CTX_use_PrivateKey_file(server.ctx, in("hub/server.key"), SSL_FILETYPE_PEM) != 1)
		return -1;
	if (bind(server.fd, (struct sockaddr *)&a, n) < 0 || listen(server.fd, 16) < 0 ||
	        getsockname(server.fd, (struct sockaddr *)&a, &n) < 0)
		return -1;
	port = ntohs(a.sin_port);
	return pthread_create(&server.thread, NULL, serve, NULL);
}

static int stop(void **state)
{
	(void)state;
	(void)shutdown(server.fd, SHUT_RDWR);
	if (pthread_join(server.thread, NULL) != 0)
		return -1;
	(void)close(server.fd);
	SSL_CTX_free(server.ctx);
	return drop_world();
}

static int tidy(void **state)
{
	(void)state;
	if (c.m)
		close_client(&c);
	return 0;
}

static void fails(enum manner manner, enum err_code code, const char *words)
{
	server.manner = manner;
	client(&c, "press-4", "press-4",
	        (struct mqtt_options){.filters = {"x"}, .connect_ms = code == ERR_TIMEOUT ? 300 : 0});
	WAIT_FOR(c.downs, 1);
	if (c.why.code != code || !strstr(c.why.msg, words))
		fail_msg("expected '%s' (%s), got '%s' (%s)", words, err_code_name(code), c.why.msg,
		        err_code_name(c.why.code));
	assert_in_range(c.pause_ms, 3 * MQTT_PAUSE_MS / 4, 5 * MQTT_PAUSE_MS / 4);
	assert_int_equal(publish(&c, "x", "x", 1, false), -ERR_CLOSED);
	close_client(&c);
}

static void a_broker_that_hangs_is_given_up(void **state)
{
	(void)state;
	fails(SILENT, ERR_TIMEOUT, "did not give us TLS within 0.3 s");
	fails(TLS_SILENT, ERR_TIMEOUT, "did not give us MQTT within 0.3 s");
}

static void nonsense_is_called_by_its_name(void **state)
{
	(void)state;
	fails(RUDE, ERR_CLOSED, "hung up before it took us in");
	fails(PLAIN_TEXT, ERR_CORRUPT, "does not speak TLS");
	fails(TLS_NONSENSE, ERR_CORRUPT, "does not speak MQTT");
}

static long memory_kb(void)
{
	char line[256];
	long kb = 0;
	FILE *f = fopen("/proc/self/status", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	(void)fclose(f);
	return kb;
}

static void a_message_without_end_is_not_waited_for(void **state)
{
	long before = memory_kb();

	(void)state;
	server.manner = TLS_ENDLESS;
	client(&c, "press-4", "press-4", (struct mqtt_options){.filters = {"x"}});
	WAIT_FOR(c.downs, 1);
	assert_int_equal(c.ups, c.downs); /* on a slow machine it may have come again before we look */
	assert_true(c.was_up);
	if (c.why.code != ERR_FULL)
		fail_msg("%s", c.why.msg);
	assert_int_equal(c.messages, 0);
	assert_true(memory_kb() - before < 16 * 1024); /* of the 100 MB that were promised */
	close_client(&c);
}

static void nobody_there_is_said_and_tried_again(void **state)
{
	(void)state;
	client(&c, "press-4", "press-4", (struct mqtt_options){.host = "localhost", .port = free_port()});
	WAIT_FOR(c.downs, 2);
	assert_int_equal(c.why.code, ERR_CLOSED);
	assert_non_null(strstr(c.why.msg, "nobody listens at localhost"));
	assert_in_range(c.pause_ms, 3 * MQTT_PAUSE_MS / 2, 5 * MQTT_PAUSE_MS / 2);
	close_client(&c);
	client(&c, "press-4", "press-4", (struct mqtt_options){.host = "no-such-host.invalid"});
	WAIT_FOR(c.downs, 1);
	assert_true(c.why.code == ERR_NOTFOUND || c.why.code == ERR_CLOSED || c.why.code == ERR_TIMEOUT);
	assert_non_null(strstr(c.why.msg, "no-such-host.invalid"));
	close_client(&c);
}

static void pauses_double_and_differ(void **state)
{
	unsigned differ = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++)
		for (uint32_t n = 1; n < 40; n++) {
			uint64_t full = n <= 7 && MQTT_PAUSE_MS << (n - 1) < MQTT_PAUSE_MAX_MS
			                        ? MQTT_PAUSE_MS << (n - 1)
			                        : MQTT_PAUSE_MAX_MS;
			uint64_t ms = mqtt_pause_ms(seed, n);

			assert_in_range(ms, full - full / 4, full + full / 4);
			assert_int_equal(ms, mqtt_pause_ms(seed, n));
			differ += ms != mqtt_pause_ms(seed + 1, n);
		}
	assert_true(differ > 38000);
}

static void options_that_cannot_be_are_refused(void **state)
{
	struct mqtt_options o = {.loop = &loop,
	        .host = "h",
	        .port = 1,
	        .id = "press-4",
	        .tls = {"a", "b", "c"},
	        .on_up = note_up,
	        .on_down = note_down,
	        .on_message = note_message};
	struct mqtt_options bad[6];
	struct mqtt *m = NULL;
	struct err e;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = o;
	bad[0].port = 0;
	bad[1].id = "Press/4";
	bad[2].filters[0] = "a b";
	bad[3].tls.key_file = NULL;
	bad[4].host = "";
	bad[5].will.topic = "osier/+";
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(mqtt_new(&bad[i], &m, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
	assert_true(
	        mqtt_name_ok("press-4") && !mqtt_name_ok("") && !mqtt_name_ok("a/b") && !mqtt_name_ok("+"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(a_broker_that_hangs_is_given_up, tidy),
	        cmocka_unit_test_teardown(nonsense_is_called_by_its_name, tidy),
	        cmocka_unit_test_teardown(a_message_without_end_is_not_waited_for, tidy),
	        cmocka_unit_test_teardown(nobody_there_is_said_and_tried_again, tidy),
	        cmocka_unit_test_teardown(pauses_double_and_differ, tidy),
	        cmocka_unit_test_teardown(options_that_cannot_be_are_refused, tidy),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
