/* SPDX-License-Identifier: Apache-2.0 */
/* test_ethkey - facts about the account's key: a signature that a chain took, to the byte; what no key is; who signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- files ---- */

static char folder[] = "/tmp/osier-ethkey.XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[2][80];
	static int turn;

	turn = !turn;
	(void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
	return path[turn];
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)state;
	(void)unlink(in_folder("plain"));
	(void)unlink(in_folder("sealed"));
	return rmdir(folder);
}

static void a_key_is_kept_in_a_file_of_its_own(void **state)
{
	uint8_t account[20], again[20], secret[32], known[32];
	struct stat st;
	struct err e = {0};
	bool sealed;

	(void)state;
	assert_int_equal(ethkey_create(in_folder("plain"), NULL, account, &e), 0);
	assert_int_equal(stat(in_folder("plain"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(ethkey_create(in_folder("plain"), NULL, again, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(ethkey_load(in_folder("plain"), NULL, secret, &e), 0);
	assert_int_equal(ethkey_account(secret, again, NULL), 0);
	assert_memory_equal(again, account, 20);
	assert_int_equal(ethkey_load_account(in_folder("plain"), again, &sealed, &e), 0);
	assert_memory_equal(again, account, 20);
	assert_false(sealed);
	assert_int_equal(chmod(in_folder("plain"), 0640), 0);
	assert_int_equal(ethkey_load(in_folder("plain"), NULL, secret, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_int_equal(ethkey_load(in_folder("none"), NULL, secret, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);

	unhex(SECRET, known, 32);
	assert_int_equal(ethkey_store(in_folder("sealed"), "open, sesame", known, &e), 0);
	assert_int_equal(ethkey_load_account(in_folder("sealed"), again, &sealed, &e), 0);
	assert_true(sealed);
	assert_int_equal(ethkey_account(known, account, NULL), 0);
	assert_memory_equal(again, account, 20);
	assert_int_equal(ethkey_load(in_folder("sealed"), NULL, secret, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_int_equal(ethkey_load(in_folder("sealed"), "open, barley", secret, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_int_equal(ethkey_load(in_folder("sealed"), "open, sesame", secret, &e), 0);
	assert_memory_equal(secret, known, 32);
}

static void a_damaged_file_is_no_key(void **state)
{
	char text[256], old;
	uint8_t secret[32];
	struct err e = {0};
	size_t n;
	FILE *f;

	(void)state;
	assert_int_equal(chmod(in_folder("plain"), 0600), 0);
	f = fopen(in_folder("plain"), "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	for (size_t i = 0; i <= n; i++) {
		old = text[i];
		text[i] = old == '1' ? '2' : '1';
		f = fopen(in_folder("plain"), "w");
		assert_non_null(f);
		assert_int_equal(fwrite(text, 1, i == n ? n - 1 : n, f), i == n ? n - 1 : n);
		assert_int_equal(fclose(f), 0);
		text[i] = old;
		assert_int_equal(ethkey_load(in_folder("plain"), NULL, secret, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(secret_has_its_account),
	        cmocka_unit_test(signature_of_the_worked_example), cmocka_unit_test(high_s_is_refused),
	        cmocka_unit_test(every_signature_is_low_and_recovers),
	        cmocka_unit_test(what_is_no_secret_is_refused),
	        cmocka_unit_test(a_key_is_kept_in_a_file_of_its_own),
	        cmocka_unit_test(a_damaged_file_is_no_key)};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
