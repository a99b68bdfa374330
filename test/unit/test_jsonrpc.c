/* SPDX-License-Identifier: Apache-2.0 */
/* test_jsonrpc - facts about answers of JSON-RPC: what is one, what a revert carries, and what a node of a chain may answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "io/anchor_rpc.h"

#define H32 "1111111111111111111111111111111111111111111111111111111111111111"
#define A20 "2222222222222222222222222222222222222222"
#define RECEIPT                                                                                              \
	"\"transactionHash\":\"0x" H32 "\",\"from\":\"0x" A20                                                \
	"\",\"blockNumber\":\"0x5\",\"blockHash\":\"0x" H32 "\",\"gasUsed\":\"0x10ed9\""

static struct anchor_rpc rpc;

static int get(const char *text, struct jsonrpc_answer *out, struct err *e)
{
	return jsonrpc_read(text, strlen(text), 7, out, e);
}

static void an_answer_is_a_result_or_an_error(void **state)
{
	static const char *const wrong[] = {"", "null", "[]", "{", "{}", "{\"jsonrpc\":\"2.0\",\"id\":7}",
	        "{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":1}",
	        "{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":1}", "{\"jsonrpc\":\"2.0\",\"result\":1}",
	        "{\"id\":7,\"result\":1}", "{\"jsonrpc\":2.0,\"id\":7,\"result\":1}",
	        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1,\"result\":2}",
	        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1,\"error\":{\"code\":1,\"message\":\"\"}}",
	        "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":1}}",
	        "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":\"x\"}",
	        "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":\"1\",\"message\":\"x\"}}",
	        "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}",
	        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1} x"};
	struct jsonrpc_answer a;

	(void)state;
	assert_int_equal(get("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"0x1\"}", &a, NULL), 0);
	assert_string_equal(json_string_value(a.result), "0x1");
	jsonrpc_clear(&a);
	assert_int_equal(get("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":null}", &a, NULL), 0);
	assert_true(json_is_null(a.result));
	jsonrpc_clear(&a);
	assert_int_equal(
	        get("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"0x1\",\"error\":null}", &a, NULL), 0);
	jsonrpc_clear(&a);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err e = {0};

		assert_int_equal(get(wrong[i], &a, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
	}
}

static void an_error_is_told_and_carries_what_reverted(void **state)
{
	struct jsonrpc_answer a;
	char text[1200];

	(void)state;
	assert_int_equal(get("{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":3,\"message\":\"execution "
	                     "\\u001b[1mreverted\\n\","
	                     "\"data\":\"0xce3358be00\"}}",
	                         &a, NULL),
	        0);
	assert_null(a.result);
	assert_int_equal(a.code, 3);
	assert_string_equal(a.said, "execution ?[1mreverted?");
	assert_int_equal(a.data_n, 5);
	assert_int_equal(
	        get("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"\xc3\xa4\","
	            "\"data\":{\"data\":\"0xff\"}}}",
	                &a, NULL),
	        0);
	assert_string_equal(a.said, "??");
	assert_int_equal(a.data_n, 1);
	(void)snprintf(text, sizeof(text),
	        "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":3,\"message\":\"%0900d\",\"data\":\"%"
	        "0200d\"}}",
	        1, 1);
	assert_int_equal(get(text, &a, NULL), 0);
	assert_int_equal(strlen(a.said), sizeof(a.said) - 1);
	assert_int_equal(a.data_n, 0);
}

static enum anchor_got got(enum anchor_question q, const char *result, struct anchor_answer *out)
{
	struct anchor_ask ask = {.q = q, .at = ANCHOR_LATEST};
	struct jsonrpc_answer a = {.result = json_loads(result, JSON_DECODE_ANY, NULL)};

	assert_non_null(a.result);
	anchor_rpc_read(&rpc, &ask, &a, out);
	jsonrpc_clear(&a);
	return out->got;
}

static void numbers_hashes_and_blocks_are_read_strictly(void **state)
{
	struct anchor_answer a;

	(void)state;
	assert_int_equal(got(ANCHOR_Q_CHAIN, "\"0x7a69\"", &a), ANCHOR_GOT);
	assert_int_equal(a.number, 31337);
	assert_int_equal(got(ANCHOR_Q_CHAIN, "31337", &a), ANCHOR_TROUBLE);
	assert_int_equal(got(ANCHOR_Q_CHAIN, "null", &a), ANCHOR_TROUBLE);
	assert_int_equal(got(ANCHOR_Q_CHAIN, "\"0x07a69\"", &a), ANCHOR_TROUBLE);
	assert_int_equal(got(ANCHOR_Q_BALANCE, "\"0x21e19e0c9bab2400000\"", &a), ANCHOR_GOT);
	assert_int_equal(got(ANCHOR_Q_SEND, "\"0x" H32 "\"", &a), ANCHOR_GOT);
	assert_int_equal(got(ANCHOR_Q_SEND, "\"0x" H32 "11\"", &a), ANCHOR_TROUBLE);
	assert_int_equal(got(ANCHOR_Q_HEAD, "\"0x\"", &a), ANCHOR_GOT);
	assert_int_equal(a.data_n, 0);
	assert_int_equal(got(ANCHOR_Q_HEAD, "\"0x0\"", &a), ANCHOR_TROUBLE);
	assert_int_equal(got(ANCHOR_Q_BLOCK, "null", &a), ANCHOR_NULL);
	assert_int_equal(got(ANCHOR_Q_BLOCK,
	                         "{\"number\":\"0x5\",\"hash\":\"0x" H32
	                         "\",\"timestamp\":\"0x9\",\"baseFeePerGas\":\"0x7\"}",
	                         &a),
	        ANCHOR_GOT);
	assert_true(a.block.has_base && a.block.base_fee == 7 && a.block.number == 5 && a.block.time_s == 9);
	assert_int_equal(got(ANCHOR_Q_BLOCK, "{\"number\":null,\"hash\":null,\"timestamp\":\"0x9\"}", &a),
	        ANCHOR_TROUBLE);
	assert_int_equal(got(ANCHOR_Q_BLOCK, "\"0x5\"", &a), ANCHOR_TROUBLE);
}

static void receipts_are_read_strictly(void **state)
{
	static const char *const wrong[] = {"{}", "[]",
	        "{" RECEIPT ",\"to\":\"0x" A20 "\",\"status\":\"0x2\",\"logs\":[]}",
	        "{" RECEIPT ",\"to\":\"0x" A20 "\",\"logs\":[]}",
	        "{" RECEIPT ",\"to\":\"0x" A20 "\",\"status\":\"0x1\"}",
	        "{" RECEIPT ",\"to\":null,\"status\":\"0x1\",\"logs\":[]}",
	        "{" RECEIPT ",\"to\":\"0x12\",\"status\":\"0x1\",\"logs\":[]}",
	        "{" RECEIPT ",\"to\":\"0x" A20 "\",\"status\":\"0x1\",\"logs\":[1]}",
	        "{" RECEIPT ",\"to\":\"0x" A20 "\",\"status\":\"0x1\",\"logs\":[{\"address\":\"0x" A20
	        "\",\"topics\":[\"0x1\"],\"data\":\"0x\",\"logIndex\":\"0x0\"}]}"};
	struct anchor_answer a;

	(void)state;
	assert_int_equal(got(ANCHOR_Q_RECEIPT, "null", &a), ANCHOR_NULL);
	assert_int_equal(got(ANCHOR_Q_RECEIPT, "{\"blockNumber\":null,\"blockHash\":null}", &a), ANCHOR_NULL);
	assert_int_equal(
	        got(ANCHOR_Q_RECEIPT,
	                "{" RECEIPT ",\"to\":\"0x" A20
	                "\",\"contractAddress\":null,\"status\":\"0x1\",\"logs\":[{\"address\":\"0x" A20
	                "\",\"topics\":[\"0x" H32 "\"],\"data\":\"0x" H32 "\",\"logIndex\":\"0x3\"}]}",
	                &a),
	        ANCHOR_GOT);
	assert_true(a.receipt->ok && a.receipt->block == 5 && a.receipt->gas_used == 69337 &&
	            a.receipt->kind == EVM_CALL);
	assert_true(a.receipt->logs == 1 && a.receipt->log[0].topics == 1 && a.receipt->log[0].data_n == 32);
	assert_int_equal(a.receipt->log_index[0], 3);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(got(ANCHOR_Q_RECEIPT, wrong[i], &a), ANCHOR_TROUBLE);
}

static void only_scheme_and_host_of_an_address_are_shown(void **state)
{
	static const char *const wrong[] = {"", "http://", "ftp://host", "host", "http:///x", "http://a b",
	        "https://:80", "HTTP://x", "http://\xc3\xa4"};
	char out[HTTP_ORIGIN_MAX];

	(void)state;
	http_origin("https://user:word@node.example:8545/v3/key?x=1", out);
	assert_string_equal(out, "https://node.example:8545");
	http_origin("http://[::1]:80?key", out);
	assert_string_equal(out, "http://[::1]:80");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(http_url_ok(wrong[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(an_answer_is_a_result_or_an_error),
	        cmocka_unit_test(an_error_is_told_and_carries_what_reverted),
	        cmocka_unit_test(numbers_hashes_and_blocks_are_read_strictly),
	        cmocka_unit_test(receipts_are_read_strictly),
	        cmocka_unit_test(only_scheme_and_host_of_an_address_are_shown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
