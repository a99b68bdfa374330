/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a path, a query value, a name, a time and a digest: no crash, and what is accepted is well formed. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_path.h"
#include "engine/json_out.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const patterns[] = {
        "/v1/jobs", "/v1/jobs/{job}/tasks/{step}/{index}/output/{name}", "/v1/blobs/{x}"};

static bool get(void *ctx, uint64_t job, const char **out)
{
	(void)ctx;
	*out = job % 2 ? "pi" : "word-count";
	return job > 0 && job < 50;
}

static bool below(void *ctx, uint64_t before, uint64_t *out_job, const char **out_name)
{
	*out_job = before ? before - 1 : 49;
	return get(ctx, *out_job, out_name);
}

static bool is_utf8(const char *s)
{
	size_t n = strlen(s), len;

	for (size_t i = 0; i < n; i += len) {
		len = utf8_length((const uint8_t *)s + i, n - i);
		if (!len)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct name_source s = {.below = below, .get = get};
	const char *bound[PATH_BINDS_MAX], *a, *b, *c, *name;
	char *text = malloc(n + 1), back[TIME_TEXT_BYTES];
	static struct path p;
	struct name_candidates many;
	uint8_t digest[32];
	uint64_t v, again;
	int64_t i;
	struct err e;

	memcpy(text, data, n);
	text[n] = 0;
	for (unsigned rest = 0; rest <= 8; rest += 8)
		if (path_split(text, rest, &p, &e) == 0)
			for (size_t k = 0; k < 3; k++)
				if (path_match(&p, patterns[k], bound))
					CHECK(is_utf8(p.v[p.n - 1]));
	if (path_number(text, &v) == 0)
		CHECK(path_signed(text, &i) < 0 || (uint64_t)i == v);
	if (path_digest(text, digest) == 0)
		CHECK(n >= 64);
	if (jo_time_parse(text, &v) == 0) {
		jo_time_text(v, back);
		CHECK(jo_time_parse(back, &again) == 0 && again == v);
	}
	if (name_resolve(&s, text, &v, &many, &e) == 0)
		CHECK(get(NULL, v, &name));
	name_cut(text, &a, &b, &c, &e);
	memcpy(text, data, n);
	text[n] = 0;
	if (url_decode(text, true, NULL, &e) == 0)
		CHECK(is_utf8(text));
	free(text);
	return 0;
}
