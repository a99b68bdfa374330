/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_cert - any bytes as a certificate request, a certificate, a hub's CA or the line to paste: taken whole or refused with a reason. The
 * first byte says as what. No certificate holds: the only authority is made here, and signs none. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "io/ca.h"
#include "io/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct cert_trust *trust;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char dir[] = "/tmp/osier-fuzz-ca.XXXXXX", path[64];
	struct ca *c;
	const char *pem;
	size_t n;

	(void)argc;
	(void)argv;
	CHECK(mkdtemp(dir) && ca_open(dir, "plant", 1800000000000000000u, &c, NULL) == 0);
	pem = ca_pem(c, &n);
	CHECK(cert_trust_new(pem, n, &trust, NULL) == 0);
	ca_close(c);
	(void)snprintf(path, sizeof(path), "%s/ca.key", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/ca.crt", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	return 0;
}

static void request(const char *p, size_t n)
{
	struct cert_request *r;
	uint8_t digest[32];
	struct err e = {0};

	if (cert_request_read(p, n, &r, &e) < 0) {
		CHECK(e.msg[0]);
		return;
	}
	cert_request_digest(r, digest);
	cert_request_free(r);
}

static void line(const char *p, size_t n)
{
	char text[2048], again[JOIN_TOKEN_CHARS + 1];
	struct join_line l;
	struct err e = {0};

	if (n >= sizeof(text))
		return;
	memcpy(text, p, n);
	text[n] = '\0';
	if (join_line_parse(text, &l, &e) < 0) {
		CHECK(e.msg[0]);
		return;
	}
	join_token_print(&l.token, again);
	CHECK(strcmp(strchr(text, '#') + 1, again) == 0); /* a token has one spelling */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct cert_trust *t;
	struct err e = {0};
	struct cert c;

	if (size == 0)
		return 0;
	size--;
	switch (data[0]) {
	case 'r':
		request(text, size);
		break;
	case 'c':
		CHECK(cert_read(text, size, &c, &e) == 0 || e.msg[0]);
		break;
	case 'd':
		CHECK(cert_trust_check(trust, data + 1, size, 1800000000000000000u, &c, &e) < 0 && e.msg[0]);
		break;
	case 't':
		if (cert_trust_new(text, size, &t, &e) == 0)
			cert_trust_free(t);
		else
			CHECK(e.msg[0]);
		break;
	case 'l':
		line(text, size);
		break;
	default: /* not an enum */
		break;
	}
	return 0;
}
