/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the bytes on a link: what was encoded is decoded, later versions are passed over, hostile bytes are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "wire/frame.h"

static _Alignas(16) uint8_t room[FRAME_ARENA_BYTES];
static uint8_t bytes[FRAME_BYTES_MAX + 64];

static int decode(size_t n, const Link__Frame **out, struct err *e)
{
	struct arena a;

	arena_init(&a, room, sizeof(room));
	return frame_decode(&a, bytes, n, out, e);
}

static size_t encode(Link__Frame *f)
{
	assert_true(frame_size(f) <= FRAME_BYTES_MAX);
	return frame_encode(f, bytes);
}

/* A Hello that holds leases 7 and 12. */
struct hello {
	Link__Frame f;
	Link__Hello h;
	uint64_t held[2];
	uint8_t digest[32], tags[8];
};

static void hello_init(struct hello *x)
{
	*x = (struct hello){.f = LINK__FRAME__INIT, .h = LINK__HELLO__INIT, .held = {7, 5}};
	x->f.session = 1ull << 32 | 1;
	x->f.body_case = LINK__FRAME__BODY_HELLO;
	x->f.hello = &x->h;
	x->h.version = 1000;
	x->h.name = (char *)(uintptr_t) "press-4";
	x->h.key = x->h.journal = (ProtobufCBinaryData){32, x->digest};
	x->h.n_held = 2;
	x->h.held = x->held;
	x->h.tags = (ProtobufCBinaryData){8, x->tags};
}

static void what_was_encoded_is_decoded(void **state)
{
	const Link__Frame *f;
	struct hello x;
	struct err e;

	(void)state;
	hello_init(&x);
	assert_int_equal(decode(encode(&x.f), &f, &e), 0);
	assert_string_equal(frame_kind_name(f), "hello");
	assert_int_equal(f->session, 1ull << 32 | 1);
	assert_string_equal(f->hello->name, "press-4");
	assert_int_equal(f->hello->n_held, 2);
	assert_int_equal(f->hello->held[1], 5);
}

static void refused(struct hello *x)
{
	const Link__Frame *f = NULL;
	struct err e = {0};

	assert_int_equal(decode(encode(&x->f), &f, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_true(e.msg[0] != '\0');
	assert_null(f);
	hello_init(x);
}

static void parts_that_do_not_fit_each_other_are_refused(void **state)
{
	struct hello x;

	(void)state;
	hello_init(&x);
	x.h.key.len = 31;
	refused(&x);
	x.h.journal.len = 0;
	refused(&x);
	x.h.tags.len = 4;
	refused(&x);
	x.held[1] = 0; /* not rising */
	refused(&x);
	x.held[1] = UINT64_MAX; /* beyond the last number */
	refused(&x);
	x.h.name = (char *)(uintptr_t) "Press 4";
	refused(&x);
	x.h.name = (char *)(uintptr_t) "";
	refused(&x);
}

/* Files ahead of a lease, and a neighbour that has the first of them. */
struct ahead {
	Link__Frame f;
	Link__Ahead a;
	Link__AheadFile file[FRAME_AHEAD_MAX + 1], *files[FRAME_AHEAD_MAX + 1];
	Link__Near near, *nears[1];
	uint32_t blob[1];
	uint8_t digest[32];
};

static void ahead_init(struct ahead *x, size_t n)
{
	*x = (struct ahead){.f = LINK__FRAME__INIT, .a = LINK__AHEAD__INIT, .near = LINK__NEAR__INIT};
	x->f.session = 1;
	x->f.body_case = LINK__FRAME__BODY_AHEAD;
	x->f.ahead = &x->a;
	for (size_t i = 0; i < n; i++) {
		x->file[i] = (Link__AheadFile)LINK__AHEAD_FILE__INIT;
		x->file[i].sha256 = (ProtobufCBinaryData){32, x->digest};
		x->file[i].bytes = 7;
		x->files[i] = &x->file[i];
	}
	x->a.file = x->files;
	x->a.n_file = n;
	x->near.name = (char *)(uintptr_t) "press-4";
	x->near.at = (char *)(uintptr_t) "10.0.0.4:7444";
	x->near.blob = x->blob;
	x->near.n_blob = 1;
	x->nears[0] = &x->near;
	x->a.near = x->nears;
	x->a.n_near = 1;
}

static void refused_ahead(struct ahead *x)
{
	const Link__Frame *f = NULL;
	struct err e = {0};

	assert_int_equal(decode(encode(&x->f), &f, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_null(f);
	ahead_init(x, 1);
}

static void files_ahead_are_few_and_whole(void **state)
{
	const Link__Frame *f;
	struct ahead x;
	struct err e;

	(void)state;
	ahead_init(&x, FRAME_AHEAD_MAX);
	assert_int_equal(decode(encode(&x.f), &f, &e), 0);
	assert_int_equal(f->ahead->n_file, FRAME_AHEAD_MAX);
	ahead_init(&x, FRAME_AHEAD_MAX + 1);
	refused_ahead(&x);
	x.file[0].sha256.len = 31;
	refused_ahead(&x);
	x.file[0].bytes = 0;
	refused_ahead(&x);
	x.blob[0] = FRAME_TICKET_BLOBS;
	refused_ahead(&x);
	x.near.at = (char *)(uintptr_t) "10.0.0.4/7444";
	refused_ahead(&x);
}

static void field_of_a_later_version_is_passed_over(void **state)
{
	static const uint8_t later[] = {0xfa, 0x3f, 0x03, 'a', 'b', 'c'}; /* field 1023, three bytes */
	const Link__Frame *f;
	struct hello x;
	struct err e;
	size_t n;

	(void)state;
	hello_init(&x);
	n = encode(&x.f);
	memcpy(bytes + n, later, sizeof(later));
	assert_int_equal(decode(n + sizeof(later), &f, &e), 0);
	assert_string_equal(f->hello->name, "press-4");
}

static void kind_of_a_later_version_is_told_as_unknown(void **state)
{
	static const uint8_t later[] = {0x08, 0x05, 0x10, 0x07, 0xfa, 0x3f, 0x00};
	const Link__Frame *f;
	struct err e;

	(void)state;
	memcpy(bytes, later, sizeof(later));
	assert_int_equal(decode(sizeof(later), &f, &e), 0);
	assert_int_equal(f->number, 7);
	assert_int_equal(f->body_case, LINK__FRAME__BODY__NOT_SET);
	assert_string_equal(frame_kind_name(f), "unknown");
}

static void what_ends_in_a_journal_is_read_strictly(void **state)
{
	uint8_t later[] = {0x10, 0x01, 0xfa, 0x3f, 0x00}; /* count and field 1023 of Results */
	ProtobufCBinaryData b = {sizeof(later), later};
	const Wire__Results *r;
	struct arena a;
	struct err e = {0};

	(void)state;
	arena_init(&a, room, sizeof(room));
	assert_int_equal(frame_results(&a, &b, &r, &e), -1);
	assert_int_equal(e.code, ERR_VERSION);
}

static void reason_of_a_later_version_counts_as_cancelled(void **state)
{
	(void)state;
	assert_int_equal(frame_reason(WIRE__STOP_REASON__PREEMPTED), WIRE__STOP_REASON__PREEMPTED);
	assert_int_equal(frame_reason(200), WIRE__STOP_REASON__CANCELLED);
}

static void frame_that_is_too_long_is_refused(void **state)
{
	const Link__Frame *f;
	struct err e = {0};

	(void)state;
	assert_int_equal(decode(FRAME_BYTES_MAX + 1, &f, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
}

/* Cut anywhere, or one bit changed: refused or another frame, never a crash. */
static void damaged_frames_are_refused_or_other_frames(void **state)
{
	const Link__Frame *f;
	struct hello x;
	struct prng p;
	struct err e;
	size_t n;

	(void)state;
	hello_init(&x);
	n = encode(&x.f);
	for (size_t i = 0; i < n; i++)
		(void)decode(i, &f, &e);
	prng_init(&p, 5);
	for (int i = 0; i < 20000; i++) {
		size_t at = prng_below(&p, n);
		uint8_t was = bytes[at];

		bytes[at] ^= (uint8_t)(1u << prng_below(&p, 8));
		if (decode(n, &f, &e) == 0 && f->body_case == LINK__FRAME__BODY_HELLO)
			assert_int_equal(f->hello->tags.len, 4 * f->hello->n_held);
		bytes[at] = was;
	}
}

static void names_of_nodes_are_small_letters_digits_and_dashes_inside(void **state)
{
	(void)state;
	assert_true(frame_name_ok("press-4"));
	assert_true(frame_name_ok("a"));
	assert_false(frame_name_ok(""));
	assert_false(frame_name_ok("-a"));
	assert_false(frame_name_ok("a-"));
	assert_false(frame_name_ok("a/b"));
	assert_false(frame_name_ok("a+"));
	assert_false(frame_name_ok("0123456789012345678901234567890123456789012345678901234567890123"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_encoded_is_decoded),
	        cmocka_unit_test(parts_that_do_not_fit_each_other_are_refused),
	        cmocka_unit_test(files_ahead_are_few_and_whole),
	        cmocka_unit_test(field_of_a_later_version_is_passed_over),
	        cmocka_unit_test(kind_of_a_later_version_is_told_as_unknown),
	        cmocka_unit_test(what_ends_in_a_journal_is_read_strictly),
	        cmocka_unit_test(reason_of_a_later_version_counts_as_cancelled),
	        cmocka_unit_test(frame_that_is_too_long_is_refused),
	        cmocka_unit_test(damaged_frames_are_refused_or_other_frames),
	        cmocka_unit_test(names_of_nodes_are_small_letters_digits_and_dashes_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
