/* SPDX-License-Identifier: Apache-2.0 */
/* anchor_rpc - see anchor_rpc.h. Shapes: Ethereum's execution-apis. */
#include "io/anchor_rpc.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* ---- questions ---- */

static json_t *hex(const void *p, size_t n)
{
	char text[2 + 2 * EVM_TX_MAX + 1];

	CHECK(n <= EVM_TX_MAX);
	(void)evm_data_print(p, n, text);
	return json_string(text);
}

static json_t *quantity(uint64_t v)
{
	char text[EVM_QUANTITY_MAX];

	(void)evm_quantity_print(v, text);
	return json_string(text);
}

static json_t *block_of(const struct anchor_ask *q)
{
	switch (q->at) {
	case ANCHOR_LATEST:
		return json_string("latest");
	case ANCHOR_PENDING:
		return json_string("pending");
	case ANCHOR_FINALIZED:
		return json_string("finalized");
	case ANCHOR_NUMBER:
		return quantity(q->number);
	}
	BUG("a block without a name");
}

static json_t *call(const struct anchor_ask *q)
{
	json_t *c = json_pack("{s:o, s:o}", "from", hex(q->from, 20), "data", hex(q->data, q->data_n));

	CHECK(c != NULL);
	if (q->kind == EVM_CALL)
		CHECK(json_object_set_new(c, "to", hex(q->to, 20)) == 0);
	return c;
}

static json_t *params_of(const struct anchor_ask *q, const char **out_method)
{
	switch (q->q) {
	case ANCHOR_Q_CHAIN:
		*out_method = "eth_chainId";
		return json_array();
	case ANCHOR_Q_BLOCK:
		*out_method = "eth_getBlockByNumber";
		return json_pack("[o, b]", block_of(q), 0);
	case ANCHOR_Q_HEAD:
		*out_method = "eth_call";
		return json_pack("[o, s]", call(q), "latest");
	case ANCHOR_Q_NONCE:
		*out_method = "eth_getTransactionCount";
		return json_pack("[o, o]", hex(q->from, 20), block_of(q));
	case ANCHOR_Q_TIP:
		*out_method = "eth_maxPriorityFeePerGas";
		return json_array();
	case ANCHOR_Q_GAS:
		*out_method = "eth_estimateGas";
		return json_pack("[o, s]", call(q), "latest");
	case ANCHOR_Q_BALANCE:
		*out_method = "eth_getBalance";
		return json_pack("[o, s]", hex(q->from, 20), "latest");
	case ANCHOR_Q_SEND:
		*out_method = "eth_sendRawTransaction";
		return json_pack("[o]", hex(q->data, q->data_n));
	case ANCHOR_Q_RECEIPT:
		*out_method = "eth_getTransactionReceipt";
		return json_pack("[o]", hex(q->hash, 32));
	}
	BUG("a question without a method");
}

/* ---- answers ---- */

static bool get_u64(const json_t *from, const char *key, uint64_t *out)
{
	const json_t *v = json_object_get(from, key);

	return json_is_string(v) && evm_quantity_u64(json_string_value(v), json_string_length(v), out);
}

static bool get_bytes(const json_t *from, const char *key, uint8_t *out, size_t n)
{
	const json_t *v = json_object_get(from, key);

	return json_is_string(v) && evm_data_exact(json_string_value(v), json_string_length(v), out, n);
}

static bool get_optional(const json_t *from, const char *key, uint8_t *out, size_t n, bool *out_has)
{
	const json_t *v = json_object_get(from, key);

	*out_has = v && !json_is_null(v);
	return !*out_has || get_bytes(from, key, out, n);
}

static bool read_block(const json_t *b, const struct anchor_ask *q, struct anchor_block *out)
{
	memset(out, 0, sizeof(*out));
	out->has_base = json_object_get(b, "baseFeePerGas") != NULL;
	return get_u64(b, "number", &out->number) && get_bytes(b, "hash", out->hash, 32) &&
	       get_u64(b, "timestamp", &out->time_s) &&
	       (!out->has_base || get_u64(b, "baseFeePerGas", &out->base_fee)) &&
	       (q->at != ANCHOR_NUMBER || out->number == q->number);
}

/* A log of at most 32 bytes of data; a longer one is not the contract's, and is kept without. */
static bool read_log(const json_t *l, struct evm_log *out, uint8_t event[32], uint64_t *out_index)
{
	const json_t *topics = json_object_get(l, "topics"), *data = json_object_get(l, "data");
	long n;

	memset(out, 0, sizeof(*out));
	if (!get_bytes(l, "address", out->address, 20) || !json_is_array(topics) ||
	        json_array_size(topics) > 4 || !json_is_string(data) || !get_u64(l, "logIndex", out_index))
		return false;
	for (size_t i = 0; i < json_array_size(topics); i++) {
		const json_t *t = json_array_get(topics, i);

		if (!json_is_string(t) ||
		        !evm_data_exact(json_string_value(t), json_string_length(t), out->topic[i], 32))
			return false;
	}
	out->topics = (unsigned)json_array_size(topics);
	n = evm_data_read(json_string_value(data), json_string_length(data), event, 32);
	out->data = event;
	out->data_n = n > 0 ? (size_t)n : 0;
	return true;
}

static bool read_receipt(struct anchor_rpc *r, const json_t *from)
{
	const json_t *logs = json_object_get(from, "logs");
	struct anchor_receipt *out = &r->receipt;
	bool has_to, has_created;
	uint64_t status;

	memset(out, 0, sizeof(*out));
	if (!get_bytes(from, "transactionHash", out->hash, 32) || !get_bytes(from, "from", out->from, 20) ||
	        !get_optional(from, "to", out->to, 20, &has_to) ||
	        !get_optional(from, "contractAddress", out->created, 20, &has_created) ||
	        !get_u64(from, "status", &status) || status > 1 ||
	        !get_u64(from, "blockNumber", &out->block) ||
	        !get_bytes(from, "blockHash", out->block_hash, 32) ||
	        !get_u64(from, "gasUsed", &out->gas_used) || !json_is_array(logs) ||
	        (!has_to && !has_created))
		return false;
	if (!get_u64(from, "effectiveGasPrice", &out->price))
		out->price = 0; /* only told, never decided by */
	out->ok = status == 1;
	out->kind = has_to ? EVM_CALL : EVM_CREATE;
	for (size_t i = 0; i < json_array_size(logs) && out->logs < ANCHOR_LOGS_MAX; i++) {
		if (!read_log(json_array_get(logs, i), &out->log[out->logs], r->event[out->logs],
		            &out->log_index[out->logs]))
			return false;
		out->logs++;
	}
	return true;
}

static bool read_result(
        struct anchor_rpc *r, const struct anchor_ask *q, const json_t *v, struct anchor_answer *out)
{
	const char *text = json_string_value(v);
	size_t text_n = json_string_length(v);
	long n;

	switch (q->q) {
	case ANCHOR_Q_CHAIN:
	case ANCHOR_Q_NONCE:
	case ANCHOR_Q_TIP:
	case ANCHOR_Q_GAS:
		return text && evm_quantity_u64(text, text_n, &out->number);
	case ANCHOR_Q_BALANCE:
		return text && evm_quantity_u256(text, text_n, out->amount);
	case ANCHOR_Q_SEND:
		return text && evm_data_exact(text, text_n, out->hash, 32);
	case ANCHOR_Q_HEAD:
		n = text ? evm_data_read(text, text_n, r->bytes, sizeof(r->bytes)) : -1;
		out->data = r->bytes;
		out->data_n = n > 0 ? (size_t)n : 0;
		return n >= 0;
	case ANCHOR_Q_BLOCK:
		return read_block(v, q, &out->block);
	case ANCHOR_Q_RECEIPT:
		out->receipt = &r->receipt;
		return read_receipt(r, v);
	}
	BUG("an answer without a question");
}

static void troubled(struct anchor_rpc *r, struct anchor_answer *out)
{
	memset(out, 0, sizeof(*out));
	out->got = ANCHOR_TROUBLE;
	out->trouble = &r->trouble;
}

static void refused(struct anchor_rpc *r, const struct jsonrpc_answer *a, struct anchor_answer *out)
{
	out->got = ANCHOR_ERROR;
	memcpy(r->said, a->said, sizeof(r->said));
	memcpy(r->bytes, a->data, sizeof(r->bytes));
	out->said = r->said;
	out->data = r->bytes;
	out->data_n = a->data_n;
}

static void not_that(struct anchor_rpc *r, const char *method, struct anchor_answer *out)
{
	(void)err_set(&r->trouble, ERR_CORRUPT, "the answer to %s is not what it must be", method);
	troubled(r, out);
}

void anchor_rpc_read(struct anchor_rpc *r, const struct anchor_ask *q, const struct jsonrpc_answer *a,
        struct anchor_answer *out)
{
	const char *method = "?";

	memset(out, 0, sizeof(*out));
	if (!a->result) {
		refused(r, a, out);
		return;
	}
	/* Some nodes have receipts of what is not mined yet, without a block. */
	if ((json_is_null(a->result) && (q->q == ANCHOR_Q_BLOCK || q->q == ANCHOR_Q_RECEIPT)) ||
	        (q->q == ANCHOR_Q_RECEIPT && json_is_null(json_object_get(a->result, "blockNumber")))) {
		out->got = ANCHOR_NULL;
		return;
	}
	out->got = ANCHOR_GOT;
	if (!read_result(r, q, a->result, out)) {
		json_decref(params_of(q, &method));
		not_that(r, method, out);
	}
}

void anchor_rpc_ask(
        struct anchor_rpc *r, const char *url, const struct anchor_ask *q, struct anchor_answer *out)
{
	struct jsonrpc_answer a;
	const char *method;
	json_t *params = params_of(q, &method);

	CHECK(params != NULL);
	if (jsonrpc_ask(r->http, url, ++r->id, method, params, &a, &r->trouble) < 0) {
		troubled(r, out);
		return;
	}
	anchor_rpc_read(r, q, &a, out);
	jsonrpc_clear(&a);
}

/* ---- looking for an event ---- */

static json_t *filter(
        const uint8_t contract[20], const uint8_t account[20], const uint8_t origin[32], uint64_t size)
{
	uint8_t by[32] = {0}, number[32] = {0};

	memcpy(by + 12, account, 20);
	for (int i = 0; i < 8; i++)
		number[24 + i] = (uint8_t)(size >> (56 - 8 * i));
	return json_pack("[{s:s, s:s, s:o, s:[o, o, o, o]}]", "fromBlock", "earliest", "toBlock", "latest",
	        "address", hex(contract, 20), "topics", hex(evm_anchored_topic, 32), hex(by, 32),
	        hex(origin, 32), hex(number, 32));
}

static bool read_found(struct anchor_rpc *r, const json_t *log)
{
	struct anchor_receipt *out = &r->receipt;

	memset(out, 0, sizeof(*out));
	out->ok = true;
	out->logs = 1;
	return !json_is_true(json_object_get(log, "removed")) &&
	       read_log(log, &out->log[0], r->event[0], &out->log_index[0]) &&
	       get_bytes(log, "transactionHash", out->hash, 32) && get_u64(log, "blockNumber", &out->block) &&
	       get_bytes(log, "blockHash", out->block_hash, 32);
}

void anchor_rpc_find(struct anchor_rpc *r, const char *url, const uint8_t contract[20],
        const uint8_t account[20], const uint8_t origin[32], uint64_t size, struct anchor_answer *out)
{
	json_t *params = filter(contract, account, origin, size);
	struct jsonrpc_answer a;

	CHECK(params != NULL);
	memset(out, 0, sizeof(*out));
	if (jsonrpc_ask(r->http, url, ++r->id, "eth_getLogs", params, &a, &r->trouble) < 0) {
		troubled(r, out);
		return;
	}
	if (!a.result) {
		refused(r, &a, out);
	} else if (json_is_array(a.result) && json_array_size(a.result) == 0) {
		out->got = ANCHOR_NULL;
	} else if (json_array_size(a.result) == 1 && read_found(r, json_array_get(a.result, 0))) {
		out->got = ANCHOR_GOT;
		out->receipt = &r->receipt;
	} else {
		not_that(r, "eth_getLogs", out);
	}
	jsonrpc_clear(&a);
}
