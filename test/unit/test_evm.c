/* SPDX-License-Identifier: Apache-2.0 */
/* test_evm - facts about transactions, addresses, Anchor.sol's call and event, and hexadecimal. The worked example was signed by
 * another program and taken by a chain. */
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
#include "core/keccak.h"

#define ORIGIN   "6a5254b17b35b4a45cab8c4b596270357caefdaacb5cf1668fa6a987c04b6cf1"
#define ROOT     "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
#define CONTRACT "5fbdb2315678afecb367f032d93f642f64180aa3"
#define FROM     "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"
#define DATA     "70c127c6" ORIGIN "0000000000000000000000000000000000000000000000000000000000000008" ROOT
#define BODY     "827a6901843b9aca0084773594008301d4c094" CONTRACT "80b864" DATA "c0"
#define R        "d1743d1d1584d6a976fd7b587e8307dfb68c0c85050865070f0d697fd698d4bf"
#define S        "4fce0e0850b915b396c83b7366626867c00d0e0e8e01cb16a10ae360ad97e7eb"

static size_t unhex(const char *hex, uint8_t *out)
{
	char text[4096];
	long n;

	(void)snprintf(text, sizeof(text), "0x%s", hex);
	n = evm_data_read(text, strlen(text), out, 2000);
	assert_true(n >= 0);
	return (size_t)n;
}

static void is_hex(const uint8_t *p, size_t n, const char *wanted)
{
	char text[4096];

	(void)evm_data_print(p, n, text);
	assert_string_equal(text + 2, wanted);
}

static struct evm_tx example(uint8_t data[EVM_ANCHOR_CALL])
{
	struct evm_tx t = {
	        .chain_id = 31337, .nonce = 1, .tip = 1000000000, .fee = 2000000000, .gas = 120000};
	uint8_t origin[32], root[32];

	unhex(ORIGIN, origin);
	unhex(ROOT, root);
	unhex(CONTRACT, t.to);
	evm_anchor_call(origin, 8, root, data);
	t.data = data;
	t.data_n = EVM_ANCHOR_CALL;
	return t;
}

static void worked_example_to_the_byte(void **state)
{
	uint8_t data[EVM_ANCHOR_CALL], bytes[EVM_TX_MAX], hash[32], origin[32], root[32];
	struct evm_tx t = example(data);
	struct evm_sig sig = {.y = 1};
	uint64_t size;
	size_t n;

	(void)state;
	is_hex(data, sizeof(data), DATA);
	assert_true(evm_anchor_call_read(data, sizeof(data), origin, &size, root));
	is_hex(origin, 32, ORIGIN);
	is_hex(root, 32, ROOT);
	assert_int_equal(size, 8);
	assert_false(evm_anchor_call_read(data, sizeof(data) - 1, origin, &size, root));
	data[4 + 32] = 1;
	assert_false(evm_anchor_call_read(data, sizeof(data), origin, &size, root));
	data[4 + 32] = 0;
	n = evm_tx_unsigned(&t, bytes, sizeof(bytes));
	is_hex(bytes, n, "02f88f" BODY);
	evm_tx_sighash(&t, hash);
	is_hex(hash, 32, "5b023a7b2b66a6825ef4038c3ed0a8cf51bacad046f9179d46a59c8242adafc7");
	unhex(R, sig.r);
	unhex(S, sig.s);
	n = evm_tx_raw(&t, &sig, bytes, sizeof(bytes), hash);
	is_hex(bytes, n, "02f8d2" BODY "01a0" R "a0" S);
	is_hex(hash, 32, "236f168a00ff13e6ceabcb5d3348b4fe6f1adb87487ab968f7edcadde90d3db0");
}

static void numbers_lose_their_leading_zeros(void **state)
{
	uint8_t data[EVM_ANCHOR_CALL], bytes[EVM_TX_MAX];
	struct evm_tx t = example(data);
	struct evm_sig sig = {.y = 0};
	char text[3000];
	size_t n;

	(void)state;
	t.nonce = 0;
	memset(sig.r + 1, 0x11, 31);
	memset(sig.s + 2, 0x22, 30);
	n = evm_tx_raw(&t, &sig, bytes, sizeof(bytes), NULL);
	(void)evm_data_print(bytes, n, text);
	assert_non_null(strstr(text, "827a6980843b9aca00")); /* nonce 0 */
	assert_non_null(strstr(text, "c0809f1111"));         /* parity 0, r of 31 bytes */
	assert_non_null(strstr(text, "119e2222"));           /* s of 30 */
}

static void raw_bytes_can_be_read_back(void **state)
{
	uint8_t data[EVM_ANCHOR_CALL], bytes[EVM_TX_MAX], again[EVM_TX_MAX];
	struct evm_tx t = example(data), back;
	struct evm_sig sig = {.y = 1}, sig_back;
	size_t n, code_n;

	(void)state;
	unhex(R, sig.r);
	unhex(S, sig.s);
	for (int kind = 0; kind < 2; kind++) {
		t.kind = kind ? EVM_CREATE : EVM_CALL;
		if (kind) {
			t.data = evm_anchor_code(&code_n);
			t.data_n = code_n;
		}
		n = evm_tx_raw(&t, &sig, bytes, sizeof(bytes), NULL);
		assert_true(n > 0);
		assert_int_equal(evm_tx_parse(bytes, n, &back, &sig_back, NULL), 0);
		assert_int_equal(back.kind, t.kind);
		assert_int_equal(evm_tx_raw(&back, &sig_back, again, sizeof(again), NULL), n);
		assert_memory_equal(again, bytes, n);
		for (size_t cut = 0; cut < n; cut++)
			assert_int_equal(evm_tx_parse(bytes, cut, &back, &sig_back, NULL), -1);
		for (size_t max = 0; max < n; max++)
			assert_int_equal(evm_tx_raw(&t, &sig, again, max, NULL), 0);
	}
	bytes[0] = 0x01;
	assert_int_equal(evm_tx_parse(bytes, n, &back, &sig_back, NULL), -1);
}

static void addresses(void **state)
{
	/* EIP-55's own examples */
	static const char *const right[] = {"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
	        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
	        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb", "0x52908400098527886E0F7030069857D2E4169EE7",
	        "0xde709f2102306220921060314715629080e2fb77"};
	static const char *const wrong[] = {"", "0x", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
	        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed00",
	        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"};
	uint8_t a[20], created[20];
	char text[EVM_ADDRESS_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		assert_int_equal(evm_address_parse(right[i], strlen(right[i]), a, NULL), 0);
		evm_address_print(a, text);
		assert_string_equal(text, right[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err e = {0};

		assert_int_equal(evm_address_parse(wrong[i], strlen(wrong[i]), a, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
	unhex(FROM, a);
	evm_create_address(a, 0, created);
	is_hex(created, 20, CONTRACT);
}

static void selectors_are_those_of_the_names(void **state)
{
	static const struct {
		const char *name, *digest;
	} sel[] = {{"anchor(bytes32,uint64,bytes32)", "70c127c6"}, {"latest(address,bytes32)", "68205bc3"},
	        {"NotNewer(uint64)", "ce3358be"}};
	uint8_t digest[32], call[EVM_ANCHOR_CALL], zero[32] = {0};
	uint64_t size;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sel); i++) {
		keccak256(sel[i].name, strlen(sel[i].name), digest);
		is_hex(digest, 4, sel[i].digest);
	}
	keccak256("Anchored(address,bytes32,uint64,bytes32)", 40, digest);
	assert_memory_equal(digest, evm_anchored_topic, 32);
	evm_latest_call(zero, zero, call);
	is_hex(call, 4, "68205bc3");
	unhex("ce3358be0000000000000000000000000000000000000000000000000000000000000009", call);
	assert_true(evm_not_newer_read(call, EVM_NOT_NEWER, &size));
	assert_int_equal(size, 9);
	assert_false(evm_not_newer_read(call, EVM_NOT_NEWER - 1, &size));
	call[5] = 1;
	assert_false(evm_not_newer_read(call, EVM_NOT_NEWER, &size));
}

static void event_and_answer_are_read_strictly(void **state)
{
	uint8_t root[32], answer[EVM_LATEST_BYTES] = {0};
	struct evm_log l = {.topics = 4, .data = root, .data_n = 32}, broken;
	struct evm_anchored a;
	struct evm_head h;

	(void)state;
	unhex(ROOT, root);
	memcpy(l.topic[0], evm_anchored_topic, 32);
	unhex(FROM, l.topic[1] + 12);
	unhex(ORIGIN, l.topic[2]);
	l.topic[3][31] = 8;
	assert_true(evm_anchored_read(&l, &a));
	assert_int_equal(a.size, 8);
	is_hex(a.by, 20, FROM);
	is_hex(a.origin, 32, ORIGIN);
	is_hex(a.root, 32, ROOT);
	broken = l;
	broken.topics = 3;
	assert_false(evm_anchored_read(&broken, &a));
	broken = l;
	broken.topic[0][0] ^= 1;
	assert_false(evm_anchored_read(&broken, &a));
	broken = l;
	broken.topic[1][0] = 1;
	assert_false(evm_anchored_read(&broken, &a));
	broken = l;
	broken.topic[3][23] = 1;
	assert_false(evm_anchored_read(&broken, &a));
	broken = l;
	broken.data_n = 31;
	assert_false(evm_anchored_read(&broken, &a));
	answer[31] = 9;
	answer[63] = 77;
	memcpy(answer + 64, root, 32);
	assert_true(evm_latest_read(answer, sizeof(answer), &h));
	assert_int_equal(h.size, 9);
	assert_int_equal(h.time_s, 77);
	assert_memory_equal(h.root, root, 32);
	assert_false(evm_latest_read(answer, sizeof(answer) - 1, &h));
	assert_false(evm_latest_read(answer, 0, &h));
	answer[0] = 1;
	assert_false(evm_latest_read(answer, sizeof(answer), &h));
}

static void quantities_have_one_spelling(void **state)
{
	static const struct {
		const char *text;
		uint64_t v;
	} right[] = {
	        {"0x0", 0}, {"0x1", 1}, {"0x41", 65}, {"0x400", 1024}, {"0xffffffffffffffff", UINT64_MAX}};
	static const char *const wrong[] = {"", "0", "0x", "x0", "0x00", "0x0400", "ff", "0xg", "0x 1",
	        " 0x1", "0x1 ", "-0x1", "0X1", "0x10000000000000000"};
	char text[EVM_QUANTITY_MAX];
	uint8_t be[32];
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		assert_true(evm_quantity_u64(right[i].text, strlen(right[i].text), &v));
		assert_true(v == right[i].v);
		assert_int_equal(evm_quantity_print(v, text), strlen(right[i].text));
		assert_string_equal(text, right[i].text);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(evm_quantity_u64(wrong[i], strlen(wrong[i]), &v));
	assert_true(evm_quantity_u256("0x10000000000000000", 19, be));
	assert_int_equal(be[23], 1);
	assert_int_equal(be[31], 0);
	assert_false(evm_quantity_u256(
	        "0x11111111111111111111111111111111111111111111111111111111111111111", 67, be));
	assert_int_equal(evm_data_read("0x", 2, be, 32), 0);
	assert_int_equal(evm_data_read("0x0", 3, be, 32), -1);
	assert_int_equal(evm_data_read("0xABcd", 6, be, 32), 2);
	assert_int_equal(evm_data_read("0xABcd", 6, be, 1), -1);
	assert_int_equal(evm_data_read("ABcd", 4, be, 32), -1);
	assert_false(evm_data_exact("0xABcd", 6, be, 3));
}

static void gas_is_at_least_what_a_chain_takes(void **state)
{
	uint8_t text[72];
	struct evm_tx t = {.kind = EVM_CALL, .data = text, .data_n = sizeof(text)};

	(void)state;
	memset(text, 'x', sizeof(text)); /* a checkpoint's text as call data: measured on a chain */
	assert_int_equal(evm_tx_gas_least(&t), 21000 + 40 * 72);
	t.data_n = 0;
	assert_int_equal(evm_tx_gas_least(&t), 21000);
	t.kind = EVM_CREATE;
	t.data = evm_anchor_code(&t.data_n);
	assert_true(evm_tx_gas_least(&t) > 53000 && evm_tx_gas_least(&t) < 180000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(worked_example_to_the_byte),
	        cmocka_unit_test(numbers_lose_their_leading_zeros),
	        cmocka_unit_test(raw_bytes_can_be_read_back), cmocka_unit_test(addresses),
	        cmocka_unit_test(selectors_are_those_of_the_names),
	        cmocka_unit_test(event_and_answer_are_read_strictly),
	        cmocka_unit_test(quantities_have_one_spelling),
	        cmocka_unit_test(gas_is_at_least_what_a_chain_takes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
