/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_hub - any bytes as what nodes and strangers send to a hub: bodies of joining and of standbys, ranges; and as the line that is pasted to join.
 * The first byte says as what.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "engine/hub_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void body(enum join_what what, const char *p, size_t n)
{
	static const uint8_t fingerprint[16];
	struct hub_asked a = {.what = what};
	struct err e = {0};

	if (hub_asked_read(p, n, fingerprint, "press-4", &a, &e) == 0) {
		CHECK(cert_name_ok(a.name));
		cert_request_free(a.request);
	} else {
		CHECK(e.msg[0] && !a.request);
	}
}

static void standby(const char *p, size_t n)
{
	struct hub_asked a = {.what = JOIN_KEYS};
	char origin[JOIN_URL_MAX];

	hub_keys_asked_read(p, n, &a);
	CHECK(!a.standby[0] ||
	        (join_origin_parse(a.standby, origin, NULL) == 0 && strcmp(origin, a.standby) == 0));
}

static void line(const char *text)
{
	struct join_line l;
	char again[JOIN_URL_MAX], token[JOIN_TOKEN_CHARS + 1];
	struct err e = {0};

	if (join_line_parse(text, &l, &e) < 0) {
		CHECK(e.msg[0]);
		return;
	}
	CHECK(join_origin_parse(l.origin, again, &e) == 0 && strcmp(again, l.origin) == 0);
	join_token_print(&l.token, token);
	CHECK(strcmp(strchr(text, '#') + 1, token) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t blob, first = 0, count = 0, total;
	char text[256];

	if (size == 0 || size > HUB_BODY_MAX)
		return 0;
	if (data[0] == 'j' || data[0] == 'r') {
		body(data[0] == 'j' ? JOIN_JOIN : JOIN_RENEW, (const char *)data + 1, size - 1);
		return 0;
	}
	if (data[0] == 'k') {
		standby((const char *)data + 1, size - 1);
		return 0;
	}
	if (size > sizeof(text))
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] == 'l')
		line(text);
	blob = data[0] == 'e' ? 0 : 1000;
	if (hub_range(text, blob, &first, &count) == RANGE_PART)
		CHECK(count > 0 && first < blob && count <= blob - first);
	if (hub_content_range(text, NULL, &first, &count, &total) == 0)
		CHECK(first < count && count <= total && total <= HUB_BLOB_BYTES_MAX);
	return 0;
}
