/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stamp_tool - io/tsa and io/calendar as a program, for stamps.py. DIGEST: 64 hexadecimal digits.
 *
 *	stamp-tool tsa-ask URL DIGEST CA OUT      stamp-tool tsa-check FILE DIGEST CA [AT]
 *	stamp-tool tsa-query DIGEST OUT           stamp-tool ots-info FILE
 *	stamp-tool ots-stamp DIGEST OUT LEAST URL...      stamp-tool ots-complete FILE OUT URL...
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/calendar.h"
#include "io/sha256.h"
#include "io/tsa.h"

static struct err e;
static uint8_t bytes[TSA_RESPONSE_MAX], digest[32];

static int failed(void)
{
	(void)fprintf(stderr, "stamp-tool: %s\n", e.msg);
	return 1;
}

static size_t load(const char *path, uint8_t *out, size_t max)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f)
		exit(2);
	n = fread(out, 1, max, f);
	(void)fclose(f);
	return n;
}

static void store(const char *path, const uint8_t *p, size_t n)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(p, 1, n, f) != n || fclose(f) != 0)
		exit(2);
}

static struct http *http(void)
{
	struct http_options o = {.timeout_ns = 3000000000, .answer_max = TSA_RESPONSE_MAX, .stop_fd = -1};
	struct http *h;

	if (http_new(&o, &h, &e) < 0)
		exit(failed());
	return h;
}

static int show(const struct tsa_stamp *s)
{
	(void)printf("{\"time\": %" PRIu64 ", \"accuracy\": %" PRIu64
	             ", \"serial\": \"%s\", \"policy\": \"%s\", "
	             "\"authority\": \"%s\"}\n",
	        s->time_s, s->accuracy_s, s->serial, s->policy, s->authority);
	return 0;
}

static int tsa(int argc, char **argv)
{
	struct tsa_trust trust = {.ca_file = argc > 4 ? argv[4] : NULL};
	struct tsa_stamp s;
	size_t n;

	if (strcmp(argv[1], "tsa-query") == 0) {
		store(argv[3], bytes, tsa_request(digest, 0, bytes));
		return 0;
	}
	if (strcmp(argv[1], "tsa-check") == 0) {
		trust.at_s = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
		n = load(argv[2], bytes, sizeof(bytes));
		return tsa_check(bytes, n, digest, 0, &trust, &s, &e) < 0 ? failed() : show(&s);
	}
	struct http *h = http();
	int rc = tsa_ask(h, argv[2], digest, &trust, bytes, &n, &s, &e);

	http_free(h);
	if (rc < 0)
		return failed();
	store(argv[5], bytes, n);
	return show(&s);
}

static void visit(void *ctx, const struct ots_attestation *a)
{
	static const char *const kinds[] = {"pending", "bitcoin", "litecoin", "ethereum", "unknown"};

	(void)ctx;
	for (size_t i = 0; i < a->message_n; i++)
		(void)printf("%02x", a->message[i]);
	(void)printf(
	        " %s %.*s %" PRIu64 "\n", kinds[a->kind], (int)a->uri_n, a->uri ? a->uri : "", a->height);
}

static int ots(int argc, char **argv)
{
	static struct ots_reader reader = {.hash = calendar_hash, .visit = visit};
	static uint8_t out[OTS_FILE_MAX];
	struct calendars c = {.urls = (const char *const *)argv + 4};
	struct ots_file f;
	unsigned got = 0;
	size_t n = 0;
	int rc;

	if (strcmp(argv[1], "ots-info") == 0)
		return ots_read(&reader, bytes, load(argv[2], bytes, sizeof(bytes)), &f, &e) < 0 ? failed()
		                                                                                 : 0;
	c.http = http();
	if (strcmp(argv[1], "ots-stamp") == 0) {
		c.urls++;
		c.n = (unsigned)argc - 5;
		rc = calendar_stamp(&c, digest, (unsigned)strtoul(argv[4], NULL, 10), out, &n, &got, &e);
	} else {
		c.n = (unsigned)argc - 4;
		rc = calendar_complete(&c, bytes, load(argv[2], bytes, sizeof(bytes)), out, &n, &got, &e);
	}
	http_free(c.http);
	if (rc < 0)
		return failed();
	if (n)
		store(argv[3], out, n);
	(void)printf("%u\n", got);
	return 0;
}

int main(int argc, char **argv)
{
	CHECK(argc > 2);
	for (int i = 2; i < 4 && i < argc; i++)
		(void)sha256_unhex(argv[i], digest);
	return strncmp(argv[1], "tsa", 3) == 0 ? tsa(argc, argv) : ots(argc, argv);
}
