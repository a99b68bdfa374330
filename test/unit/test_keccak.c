/* SPDX-License-Identifier: Apache-2.0 */
/* test_keccak - facts about Keccak-256: published digests, and pieces of any length make the same digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "core/keccak.h"

static void is(const void *p, size_t n, const char *wanted)
{
	uint8_t digest[32];
	char hex[65];

	keccak256(p, n, digest);
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(hex, wanted);
}

static void published_digests_come_out(void **state)
{
	static const uint8_t zeros[300];
	static const char event[] = "Anchored(address,bytes32,uint64,bytes32)";

	(void)state;
	is("", 0, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
	is("abc", 3, "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
	is(zeros, 135, "29e3704feeca7fb9ba229f0fa04d9b36449cf3ad6e1d85d9cfff3a10df9abc3e");
	is(zeros, 136, "3a5912a7c5faa06ee4fe906253e339467a9ce87d533c65be3c15cb231cdb25f9");
	is(event, strlen(event), "3d0c97912257c6ad70e8f6fc81ae518ad3e14734d308b512c2729cc637a4b0b1");
}

static void pieces_make_the_same_digest(void **state)
{
	uint8_t bytes[3 * KECCAK_RATE + 7], whole[32], pieces[32];
	struct keccak k;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
	keccak256(bytes, sizeof(bytes), whole);
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		keccak_init(&k);
		keccak_add(&k, bytes, cut);
		keccak_add(&k, bytes + cut, sizeof(bytes) - cut);
		keccak_end(&k, pieces);
		assert_memory_equal(pieces, whole, 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(published_digests_come_out), cmocka_unit_test(pieces_make_the_same_digest)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
