/* SPDX-License-Identifier: Apache-2.0 */
/* test_ethkey - facts about the account's key: a signature that a chain took, to the byte; what no key is; who signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "io/ethkey.h"

/* Account 0 of every test chain; known to everybody. */
#define SECRET  "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
#define ACCOUNT "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"

static void unhex(const char *hex, uint8_t *out, size_t n)
{
	assert_true(evm_data_exact(hex, strlen(hex), out, n));
}

static void secret_has_its_account(void **state)
{
	uint8_t secret[32], account[20];
	char text[EVM_ADDRESS_TEXT];

	(void)state;
	unhex(SECRET, secret, 32);
	assert_int_equal(ethkey_account(secret, account, NULL), 0);
	evm_address_print(account, text);
	assert_string_equal(text, ACCOUNT);
}

static void signature_of_the_worked_example(void **state)
{
	uint8_t secret[32], hash[32], r[32], s[32], account[20], signer[20];
	struct evm_sig sig, again;

	(void)state;
	unhex(SECRET, secret, 32);
	unhex("0x5b023a7b2b66a6825ef4038c3ed0a8cf51bacad046f9179d46a59c8242adafc7", hash, 32);
	unhex("0xd1743d1d1584d6a976fd7b587e8307dfb68c0c85050865070f0d697fd698d4bf", r, 32);
	unhex("0x4fce0e0850b915b396c83b7366626867c00d0e0e8e01cb16a10ae360ad97e7eb", s, 32);
	assert_int_equal(ethkey_sign(secret, hash, &sig, NULL), 0);
	assert_memory_equal(sig.r, r, 32);
	assert_memory_equal(sig.s, s, 32);
	assert_int_equal(sig.y, 1);
	assert_int_equal(ethkey_sign(secret, hash, &again, NULL), 0);
	assert_memory_equal(&again, &sig, sizeof(sig)); /* the blinding does not show */
	assert_int_equal(ethkey_account(secret, account, NULL), 0);
	assert_true(ethkey_recover(&sig, hash, signer));
	assert_memory_equal(signer, account, 20);
	hash[0] ^= 1;
	assert_true(!ethkey_recover(&sig, hash, signer) || memcmp(signer, account, 20) != 0);
}

/* n - s with the other parity verifies as well, which is why chains want the lower one. */
static void high_s_is_refused(void **state)
{
	static const char order[] = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
	uint8_t secret[32], hash[32] = {7}, n[32], signer[20];
	struct evm_sig sig;
	int borrow = 0;

	(void)state;
	unhex(SECRET, secret, 32);
	unhex(order, n, 32);
	assert_int_equal(ethkey_sign(secret, hash, &sig, NULL), 0);
	for (int i = 31; i >= 0; i--) {
		int d = n[i] - sig.s[i] - borrow;

		borrow = d < 0;
		sig.s[i] = (uint8_t)(d + 256 * borrow);
	}
	sig.y ^= 1;
	assert_false(ethkey_recover(&sig, hash, signer));
}

static void every_signature_is_low_and_recovers(void **state)
{
	uint8_t secret[32], hash[32], account[20], signer[20];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct evm_sig sig;

		ethkey_secret_new(secret);
		memset(hash, (int)i, sizeof(hash));
		assert_int_equal(ethkey_account(secret, account, NULL), 0);
		assert_int_equal(ethkey_sign(secret, hash, &sig, NULL), 0);
		assert_true(sig.s[0] < 0x80);
		assert_true(ethkey_recover(&sig, hash, signer));
		assert_memory_equal(signer, account, 20);
	}
}

static void what_is_no_secret_is_refused(void **state)
{
	uint8_t secret[32] = {0}, out[64], hash[32] = {0};
	struct evm_sig sig;
	struct err e = {0};

	(void)state;
	assert_int_equal(ethkey_public(secret, out, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(ethkey_sign(secret, hash, &sig, &e), -1);
	memset(secret, 0xff, sizeof(secret));
	assert_int_equal(ethkey_sign(secret, hash, &sig, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(secret_has_its_account),
	        cmocka_unit_test(signature_of_the_worked_example), cmocka_unit_test(high_s_is_refused),
	        cmocka_unit_test(every_signature_is_low_and_recovers),
	        cmocka_unit_test(what_is_no_secret_is_refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
