/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_frame - any bytes as a frame of a link are refused or decoded; what is decoded and known can be encoded and is the same. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(16) uint8_t mem[FRAME_ARENA_BYTES], mem2[FRAME_ARENA_BYTES];
static uint8_t bytes[1 << 20], again[1 << 20];

static void inside(struct arena *a, const Link__Frame *f)
{
	const Wire__Results *r;
	const Wire__NodeSet *node;
	const Wire__JobSpec *spec;
	struct err e = {0};

	if (f->body_case == LINK__FRAME__BODY_RESULTS && frame_results(a, &f->results->results, &r, &e) == 0)
		CHECK(r->count > 0);
	if (f->body_case == LINK__FRAME__BODY_HELLO && frame_node(a, &f->hello->node, &node, &e) < 0)
		CHECK(e.msg[0]);
	if (f->body_case == LINK__FRAME__BODY_GRANT &&
	        jobspec_decode(a, f->grant->spec.data, f->grant->spec.len, &spec, &e) < 0)
		CHECK(e.msg[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a, b;
	struct err e = {0};
	const Link__Frame *f, *f2;
	size_t n;

	arena_init(&a, mem, sizeof(mem));
	arena_init(&b, mem2, sizeof(mem2));
	if (frame_decode(&a, data, size, &f, &e) < 0) {
		CHECK(e.code == ERR_CORRUPT || e.code == ERR_VERSION || e.code == ERR_FULL);
		CHECK(e.msg[0]);
		return 0;
	}
	inside(&a, f);
	n = frame_size(f);
	if (n > FRAME_BYTES_MAX)
		return 0; /* it came packed more tightly than we write */
	CHECK(frame_encode(f, bytes) == n);
	if (frame_decode(&b, bytes, n, &f2, &e) == 0)
		CHECK(f2->body_case == f->body_case && frame_size(f2) == n && frame_encode(f2, again) == n &&
		        memcmp(bytes, again, n) == 0);
	else
		CHECK(e.code == ERR_FULL);
	return 0;
}
