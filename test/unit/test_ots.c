/* SPDX-License-Identifier: Apache-2.0 */
/* test_ots - facts about OpenTimestamps proofs: real ones, made ones, completed ones, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "core/evm.h"
#include "core/ots.h"
#include "io/calendar.h"

static struct {
	struct ots_attestation a[16];
	uint8_t message[16][128];
	char uri[16][80];
	unsigned n;
} seen;
static struct ots_reader reader;
static uint8_t file[OTS_FILE_MAX], other[OTS_FILE_MAX];

static void visit(void *ctx, const struct ots_attestation *a)
{
	(void)ctx;
	if (seen.n == 16 || a->message_n > 128 || a->uri_n >= 80) /* of a broken proof */
		return;
	memcpy(seen.message[seen.n], a->message, a->message_n);
	if (a->uri_n)
		memcpy(seen.uri[seen.n], a->uri, a->uri_n);
	seen.uri[seen.n][a->uri_n] = '\0';
	seen.a[seen.n++] = *a;
}

static int read_it(const uint8_t *p, size_t n, struct ots_file *out, struct err *e)
{
	memset(&seen, 0, sizeof(seen));
	reader.hash = calendar_hash;
	reader.visit = visit;
	return ots_read(&reader, p, n, out, e);
}

static size_t load(const char *name, uint8_t *out)
{
	char path[512];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/test/data/ots/%s", OSIER_SOURCE_ROOT, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(out, 1, OTS_FILE_MAX, f);
	(void)fclose(f);
	return n;
}

/* Commitments of calendars have four bytes more than is compared. */
static void message_is(unsigned i, const char *hex)
{
	char text[300];

	(void)evm_data_print(seen.message[i], seen.a[i].message_n, text);
	assert_memory_equal(text + 2, hex, strlen(hex));
	assert_true(strlen(text) - 2 == strlen(hex) || strlen(text) - 2 == 88);
}

static void real_proofs_end_in_what_is_known(void **state)
{
	struct ots_file f;

	(void)state;
	assert_int_equal(read_it(file, load("hello-world.txt.ots", file), &f, NULL), 0);
	assert_int_equal(f.op, OTS_SHA256);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.a[0].kind, OTS_BITCOIN);
	assert_int_equal(seen.a[0].height, 358391);
	message_is(0, "007ee445d23ad061af4a36b809501fab1ac4f2d7e7a739817dd0cbb7ec661b8a");

	assert_int_equal(read_it(file, load("two-calendars.txt.ots", file), &f, NULL), 0);
	assert_int_equal(seen.n, 2);
	assert_string_equal(seen.uri[0], "https://alice.btc.calendar.opentimestamps.org");
	assert_string_equal(seen.uri[1], "https://bob.btc.calendar.opentimestamps.org");
	message_is(0, "57d46515fdd8c2334c77b1f204338bb2178d73e523988d7dcda13259d3a099f31623755deadd66b1");
	message_is(1, "57d4651676e9ac3b3b57c1584828ea5162979c96483a03c87c69a1b8614d1cbaf387e0f5647b90ea");

	assert_int_equal(read_it(file, load("a_or_b.ots", file), &f, NULL), 0);
	assert_int_equal(f.op, OTS_SHA1);
	assert_int_equal(f.digest_n, 20);
	assert_int_equal(seen.n, 4);
	assert_int_equal(seen.a[1].height, 466906);
	message_is(1, "267c8a43b9bf4968356f85f313943ef8371d106b4c6f67b2c4a8b05c3a30c940");
	message_is(3, "591c5c7935c1c5d0980c54010cab2751ac8181b2a1aa51b8a7f956835f9081adb4ac2230e57a4a72");

	assert_int_equal(read_it(file, load("known-and-unknown-notary.txt.ots", file), &f, NULL), 0);
	assert_int_equal(seen.n, 2);
	assert_true((seen.a[0].kind == OTS_UNKNOWN) != (seen.a[1].kind == OTS_UNKNOWN));
}

static void every_cut_and_every_excess_is_refused(void **state)
{
	static const char *const names[] = {"hello-world.txt.ots", "two-calendars.txt.ots", "a_or_b.ots"};
	struct ots_file f;
	struct err e;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		size_t n = load(names[k], file);

		for (size_t cut = 0; cut < n; cut++)
			assert_int_equal(read_it(file, cut, &f, &e), -1);
		file[n] = 0;
		assert_int_equal(read_it(file, n + 1, &f, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
}

/* The root of the block changes with every bit of the digest and of every operand: nothing in between is decoration. But for one: where
 * a row of Bitcoin's tree is odd its last hash is joined to itself, and the side does not matter. */
static void flipped_bits_do_not_prove_the_same(void **state)
{
	struct ots_file f;
	size_t n = load("hello-world.txt.ots", file);
	uint8_t right[32];
	unsigned same = 0;

	(void)state;
	assert_int_equal(read_it(file, n, &f, NULL), 0);
	memcpy(right, seen.message[0], 32);
	for (size_t bit = 0; bit < 8 * n; bit++) {
		file[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (read_it(file, n, &f, NULL) == 0)
			for (unsigned i = 0; i < seen.n; i++)
				same += seen.a[i].kind == OTS_BITCOIN && seen.a[i].height == 358391 &&
				        memcmp(seen.message[i], right, 32) == 0;
		file[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(same, 1);
}

/* What a calendar answers: prepend a time, append a code, pending at a name of n characters. */
static size_t answer(uint8_t *out, const char *uri)
{
	static const uint8_t head[] = {0xf1, 4, 1, 2, 3, 4, 0x08, 0xf0, 2, 9, 9, 0x00, 0x83, 0xdf, 0xe3, 0x0d,
	        0x2e, 0xf9, 0x0c, 0x8e};
	size_t n = strlen(uri);

	memcpy(out, head, sizeof(head));
	out[sizeof(head)] = (uint8_t)(n + 1);
	out[sizeof(head) + 1] = (uint8_t)n;
	memcpy(out + sizeof(head) + 2, uri, n);
	return sizeof(head) + 2 + n;
}

static void a_made_proof_is_pending_and_can_be_completed(void **state)
{
	static const uint8_t bitcoin[] = {
	        0x08, 0x00, 0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01, 3, 0xf7, 0xef, 0x15};
	static const char *const uris[] = {"https://a.example", "https://b.example", "https://c.example"};
	uint8_t digest[32] = {1, 2, 3}, nonce[16] = {7}, commitment[32], bytes[3][64];
	struct ots_piece piece[3];
	struct ots_file f;
	size_t n, more;

	(void)state;
	ots_commitment(digest, nonce, commitment);
	for (unsigned i = 0; i < 3; i++) {
		piece[i] = (struct ots_piece){bytes[i], answer(bytes[i], uris[i])};
		assert_int_equal(ots_read_timestamp(&reader, bytes[i], piece[i].n, commitment, 32, NULL), 0);
	}
	for (unsigned count = 1; count <= 3; count++) {
		n = ots_make(digest, nonce, piece, count, file, sizeof(file));
		for (size_t max = 0; max < n; max++)
			assert_int_equal(ots_make(digest, nonce, piece, count, other, max), 0);
		assert_int_equal(read_it(file, n, &f, NULL), 0);
		assert_memory_equal(f.digest, digest, 32);
		assert_int_equal(seen.n, count);
		for (unsigned i = 0; i < count; i++) {
			struct ots_attestation pending;

			assert_int_equal(read_it(file, n, &f, NULL), 0);
			assert_string_equal(seen.uri[i], uris[i]);
			pending = seen.a[i];
			more = ots_complete(file, n, &pending, (struct ots_piece){bitcoin, sizeof(bitcoin)},
			        other, sizeof(other));
			assert_int_equal(more, n + sizeof(bitcoin) + 1);
			assert_int_equal(read_it(other, more, &f, NULL), 0);
			assert_int_equal(seen.n, count + 1);
			assert_int_equal(seen.a[i].kind, OTS_PENDING);
			assert_int_equal(seen.a[i + 1].kind, OTS_BITCOIN);
			assert_int_equal(seen.a[i + 1].height, 358391);
			/* and once more, where it is not the last of its message any longer */
			pending = seen.a[i];
			assert_false(pending.last);
			n = ots_complete(other, more, &pending, (struct ots_piece){bitcoin, sizeof(bitcoin)},
			        file, sizeof(file));
			assert_int_equal(read_it(file, n, &f, NULL), 0);
			assert_int_equal(seen.n, count + 2);
			n = ots_make(digest, nonce, piece, count, file, sizeof(file));
		}
	}
}

static void what_is_no_proof_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} wrong[] = {{"", 0}, {"\x00", 1}, {"\x08", 1}, {"\xff", 1}, {"\xff\xff", 2}, {"\xf0\x00", 2},
	        {"\xf0\x81\x00", 3}, {"\x01", 1}, {"\x00\x83\xdf\xe3\x0d\x2e\xf9\x0c\x8e\x02\x01\n", 12},
	        {"\x00\x83\xdf\xe3\x0d\x2e\xf9\x0c\x8e\x02\x00x", 12},
	        {"\x00\x05\x88\x96\x0d\x73\xd7\x19\x01\x02\x80\x00", 12}};
	static uint8_t deep[OTS_FILE_MAX], message[32];
	uint8_t out[20];
	struct err e;

	(void)state;
	reader.visit = NULL;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(ots_read_timestamp(&reader, (const uint8_t *)wrong[i].bytes, wrong[i].n,
		                         message, 32, &e),
		        -1);
	memset(deep, 0xff, sizeof(deep));
	for (size_t i = 1; i < sizeof(deep); i += 2)
		deep[i] = 0x08;
	assert_int_equal(ots_read_timestamp(&reader, deep, sizeof(deep), message, 32, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
	memset(deep, 0xf3, sizeof(deep)); /* doubles each time */
	assert_int_equal(ots_read_timestamp(&reader, deep, sizeof(deep), message, 32, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
	assert_true(calendar_hash(NULL, OTS_RIPEMD160, (const uint8_t *)"abc", 3, out));
	assert_int_equal(out[0], 0x8e);
	assert_true(calendar_hash(NULL, OTS_SHA1, (const uint8_t *)"abc", 3, out));
	assert_int_equal(out[0], 0xa9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(real_proofs_end_in_what_is_known),
	        cmocka_unit_test(every_cut_and_every_excess_is_refused),
	        cmocka_unit_test(flipped_bits_do_not_prove_the_same),
	        cmocka_unit_test(a_made_proof_is_pending_and_can_be_completed),
	        cmocka_unit_test(what_is_no_proof_is_refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
