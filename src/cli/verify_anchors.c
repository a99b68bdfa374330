/* SPDX-License-Identifier: Apache-2.0 */
/* verify_anchors - see verify_anchors.h. */
#include "cli/verify_anchors.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "cli/show.h"
#include "cli/verify.h"
#include "io/calendar.h"
#include "io/ethkey.h"
#include "io/jsonrpc.h"

#define ASK_NS (30ull * 1000000000ull)

struct wanted { /* what the options say */
	bool has_contract, has_account;
	uint8_t contract[20], account[20];
	uint64_t confirmations;
	const char *ca;
	struct keyset *keys; /* of the log, NULL: not said; malloc'd */
};

static int address_option(struct cli *c, const char *name, bool *out_has, uint8_t out[20], struct err *e)
{
	const char *text = args_value(&c->args, name);

	*out_has = text != NULL;
	return text && evm_address_parse(text, strlen(text), out, e) < 0 ? err_wrap(e, "--%s", name) : 0;
}

static int read_options(struct cli *c, struct wanted *w, struct err *e)
{
	const char *text = args_value(&c->args, "confirmations");
	char *end;

	memset(w, 0, sizeof(*w));
	w->ca = args_value(&c->args, "ca");
	if (address_option(c, "contract", &w->has_contract, w->contract, e) < 0 ||
	        address_option(c, "account", &w->has_account, w->account, e) < 0)
		return -1;
	if (args_value(&c->args, "keys")) {
		w->keys = verify_keys(args_value(&c->args, "keys"), e);
		if (!w->keys)
			return -1;
	}
	if (text) {
		w->confirmations = strtoull(text, &end, 10);
		if (*text < '1' || *text > '9' || *end || w->confirmations > 1000000) {
			free(w->keys);
			return err_set(e, ERR_INVALID, "--confirmations must be a number from 1 to 1000000");
		}
	}
	return 0;
}

/* ---- chains ---- */

/* The transaction as the file has it: signed by the account it names, to the contract that is trusted. */
static int check_sender(const struct wanted *w, const struct receipt_head *h, struct err *e)
{
	uint8_t hash[32], by[20];
	char text[EVM_ADDRESS_TEXT];

	evm_tx_sighash(&h->tx, hash);
	if (!ethkey_recover(&h->sig, hash, by) || memcmp(by, h->account, 20) != 0)
		return err_set(e, ERR_CORRUPT,
		        "the signature of the anchor's transaction is not of the account it names");
	if (w->has_account && memcmp(w->account, h->account, 20) != 0) {
		evm_address_print(h->account, text);
		return err_set(e, ERR_CORRUPT, "the anchor is of account %s, not of the one you trust", text);
	}
	if (w->keys) {
		evm_address_print(h->account, text);
		if (keyset_check_anchor(w->keys, text, h->checkpoint.size, e) < 0)
			return -1;
	}
	if (w->has_contract && memcmp(w->contract, h->tx.to, 20) != 0) {
		evm_address_print(h->tx.to, text);
		return err_set(
		        e, ERR_CORRUPT, "the anchor is in contract %s, not in the one you trust", text);
	}
	return 0;
}

/* < 0: an error; *out_other: the node is of another chain. */
static int ask_node(struct http *http, const char *url, const struct wanted *w, struct verified_head *v,
        bool *out_other, struct err *e)
{
	struct anchor_claim claim = {
	        .chain_id = v->head.tx.chain_id, .size = v->head.checkpoint.size, .has_hash = true};
	uint8_t raw[EVM_TX_MAX];
	struct anchor_proof p;

	memcpy(claim.contract, v->head.tx.to, 20);
	memcpy(claim.account, v->head.account, 20);
	memcpy(claim.origin, v->head.origin, 32);
	memcpy(claim.root, v->head.checkpoint.root, 32);
	CHECK(evm_tx_raw(&v->head.tx, &v->head.sig, raw, sizeof(raw), claim.hash) > 0);
	*out_other = false;
	if (anchor_verify(http, url, &claim, w->confirmations, &p, e) < 0) {
		*out_other = e->code == ERR_INVALID && strstr(e->msg, "the node is on chain");
		return *out_other ? 0 : -1;
	}
	if (p.standing ==
	        ANCHOR_ABSENT) { /* the chain may have another transaction of the same head: a replacement */
		claim.has_hash = false;
		if (anchor_verify(http, url, &claim, w->confirmations, &p, NULL) < 0 ||
		        p.standing == ANCHOR_ABSENT)
			return err_set(e, ERR_CORRUPT,
			        "chain %" PRIu64 " does not have the anchor: its transaction is not there",
			        claim.chain_id);
	}
	if (!v->asked || p.standing < v->chain.standing ||
	        (p.standing == v->chain.standing && p.confirmations < v->chain.confirmations))
		v->chain = p;
	v->asked = true;
	return 0;
}

static int ask_nodes(struct cli *c, const struct wanted *w, struct verified_heads *out, struct err *e)
{
	struct http_options o = {.timeout_ns = ASK_NS, .answer_max = JSONRPC_ANSWER_MAX, .stop_fd = -1};
	struct http *http = NULL;
	const char *url;
	int rc = 0;

	if (!args_nth(&c->args, "chain", 0))
		return 0;
	if (http_new(&o, &http, e) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && (url = args_nth(&c->args, "chain", i)); i++) {
		bool any = false;

		for (size_t k = 0; rc == 0 && k < out->n; k++) {
			bool other = false;

			if (out->head[k].head.by != WIRE__ANCHORED_HEAD__BY__CHAIN)
				continue;
			rc = ask_node(http, url, w, &out->head[k], &other, e);
			any = any || (rc == 0 && !other);
		}
		if (rc == 0 && !any && e->code == ERR_INVALID) {
			rc = -1; /* of another chain than every anchor */
		} else if (rc == 0 && !any) {
			(void)err_set(e, ERR_NOTFOUND, "the receipt has no anchor on a chain");
			rc = err_hint(e, "get a newer one when there is: osier receipt TASK --wait anchored");
		}
	}
	for (size_t k = 0; k < out->n; k++)
		out->anchored =
		        out->anchored || (out->head[k].asked && out->head[k].chain.standing == ANCHOR_FINAL);
	http_free(http);
	return rc;
}

/* ---- stamps ---- */

static int check_stamp(const struct wanted *w, struct verified_head *v, struct err *e)
{
	struct tsa_trust trust = {.ca_file = w->ca};

	if (!w->ca)
		return 0;
	v->asked = true;
	return tsa_check(v->head.proof, v->head.proof_n, v->head.digest, 0, &trust, &v->stamp, e) < 0
	               ? err_wrap(e, "the timestamp of the receipt")
	               : 0;
}

static void find_block(void *ctx, const struct ots_attestation *a)
{
	struct verified_head *v = ctx;

	if (a->kind != OTS_BITCOIN || a->message_n != 32 || (v->bitcoin && v->bitcoin <= a->height))
		return;
	v->bitcoin = a->height;
	memcpy(v->bitcoin_root, a->message, 32);
}

static int check_calendars(struct verified_head *v, struct err *e)
{
	struct ots_reader *r = cli_alloc(sizeof(*r));
	struct ots_file f;
	int rc;

	memset(r, 0, sizeof(*r));
	r->hash = calendar_hash;
	r->visit = find_block;
	r->ctx = v;
	rc = ots_read(r, v->head.proof, v->head.proof_n, &f, e);
	free(r);
	if (rc < 0)
		return err_wrap(e, "the OpenTimestamps proof of the receipt");
	if (f.op != OTS_SHA256 || f.digest_n != 32 || memcmp(f.digest, v->head.digest, 32) != 0)
		return err_set(e, ERR_CORRUPT, "the OpenTimestamps proof of the receipt is of another head");
	return 0;
}

static int look_at_heads(struct cli *c, const struct wanted *w, const struct receipt_view *r,
        struct verified_heads *out, struct err *e)
{
	if (r->n_heads > VERIFY_HEADS_MAX)
		return err_set(
		        e, ERR_INVALID, "the receipt has more than %d anchored heads", VERIFY_HEADS_MAX);
	while (receipt_head(r, out->n, &out->head[out->n].head)) {
		struct verified_head *v = &out->head[out->n++];
		int rc = -1;

		switch (v->head.by) {
		case WIRE__ANCHORED_HEAD__BY__CHAIN:
			rc = check_sender(w, &v->head, e);
			break;
		case WIRE__ANCHORED_HEAD__BY__AUTHORITY:
			rc = check_stamp(w, v, e);
			break;
		case WIRE__ANCHORED_HEAD__BY__CALENDARS:
			rc = check_calendars(v, e);
			break;
		case _WIRE__ANCHORED_HEAD__BY_IS_INT_SIZE:
			break;
		}
		if (rc < 0)
			return -1;
		if (out->n == VERIFY_HEADS_MAX)
			break;
	}
	return ask_nodes(c, w, out, e);
}

int verify_heads(struct cli *c, const struct receipt_view *r, struct verified_heads *out, struct err *e)
{
	struct wanted w;
	int rc;

	memset(out, 0, sizeof(*out));
	if (read_options(c, &w, e) < 0)
		return -1;
	rc = look_at_heads(c, &w, r, out, e);
	free(w.keys);
	return rc;
}

/* ---- telling ---- */

static void print_chain(const struct verified_head *v)
{
	char account[EVM_ADDRESS_TEXT], contract[EVM_ADDRESS_TEXT], a[32];
	const struct anchor_proof *p = &v->chain;

	evm_address_print(v->head.account, account);
	evm_address_print(v->head.tx.to, contract);
	if (!v->asked) {
		show_fieldf("anchor",
		        "a transaction to chain %" PRIu64 " with the head of %" PRIu64
		        " entries; whether the chain has it was not checked: --chain URL of a node of it",
		        v->head.tx.chain_id, v->head.checkpoint.size);
	} else {
		show_fieldf("anchor",
		        "chain %" PRIu64 ", block %" PRIu64 " of %s, %s%s, %" PRIu64
		        " confirmation%s; the head of %" PRIu64 " entries",
		        v->head.tx.chain_id, p->block,
		        clock_text(p->time_s * 1000000000u, cli_now_ns(), a, sizeof(a)),
		        p->standing == ANCHOR_FINAL ? "final" : "NOT final yet",
		        p->standing == ANCHOR_FINAL ? "" : ": the chain may still drop it", p->confirmations,
		        p->confirmations == 1 ? "" : "s", v->head.checkpoint.size);
	}
	show_fieldf("", "by account %s in contract %s", account, contract);
}

static void print_authority(const struct verified_head *v)
{
	uint64_t now = cli_now_ns();
	char a[32];

	if (v->asked)
		show_fieldf("stamp", "it existed at %s according to %s",
		        clock_text(v->stamp.time_s * 1000000000u, now, a, sizeof(a)), v->stamp.authority);
	else
		show_field("stamp",
		        "an authority's, not checked: --ca FILE with the certificates that you trust");
}

static void print_calendars(const struct verified_head *v)
{
	char hex[2 * 32 + 1];

	if (!v->bitcoin) {
		show_field("calendars", "have it; Bitcoin does not prove it yet (a newer receipt may)");
		return;
	}
	for (size_t i = 0; i < 32; i++) /* explorers show it from the last byte to the first */
		(void)snprintf(hex + 2 * i, 3, "%02x", v->bitcoin_root[31 - i]);
	show_fieldf("calendars",
	        "it existed when Bitcoin's block %" PRIu64
	        " was made, if the Merkle root of that is %s: compare it",
	        v->bitcoin, hex);
}

void verify_heads_print(const struct verified_heads *h)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct verified_head *v = &h->head[i];

		if (v->head.by == WIRE__ANCHORED_HEAD__BY__CHAIN)
			print_chain(v);
		else if (v->head.by == WIRE__ANCHORED_HEAD__BY__AUTHORITY)
			print_authority(v);
		else
			print_calendars(v);
	}
}

static void set_u64(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)(v > INT64_MAX ? INT64_MAX : v)));
}

static void set_hex(json_t *o, const char *key, const uint8_t *p, size_t n)
{
	char text[2 + 2 * 32 + 1];

	(void)evm_data_print(p, n, text);
	json_object_set_new(o, key, json_string(text));
}

static void chain_json(json_t *o, const struct verified_head *v)
{
	char text[EVM_ADDRESS_TEXT];

	json_object_set_new(o, "kind", json_string("chain"));
	set_u64(o, "chain_id", v->head.tx.chain_id);
	evm_address_print(v->head.tx.to, text);
	json_object_set_new(o, "contract", json_string(text));
	evm_address_print(v->head.account, text);
	json_object_set_new(o, "account", json_string(text));
	if (!v->asked)
		return;
	set_hex(o, "transaction", v->chain.hash, 32);
	set_u64(o, "block", v->chain.block);
	set_hex(o, "block_hash", v->chain.block_hash, 32);
	set_u64(o, "block_time", v->chain.time_s);
	set_u64(o, "confirmations", v->chain.confirmations);
	json_object_set_new(o, "final", json_boolean(v->chain.standing == ANCHOR_FINAL));
}

json_t *verify_heads_json(const struct verified_heads *h)
{
	json_t *list = json_array();

	for (size_t i = 0; i < h->n; i++) {
		const struct verified_head *v = &h->head[i];
		json_t *o = json_object();

		CHECK(o);
		set_u64(o, "size", v->head.checkpoint.size);
		json_object_set_new(o, "checked", json_boolean(v->asked));
		if (v->head.by == WIRE__ANCHORED_HEAD__BY__CHAIN) {
			chain_json(o, v);
		} else if (v->head.by == WIRE__ANCHORED_HEAD__BY__AUTHORITY) {
			json_object_set_new(o, "kind", json_string("authority"));
			if (v->asked) {
				set_u64(o, "stamped", v->stamp.time_s);
				json_object_set_new(o, "authority", json_string(v->stamp.authority));
			}
		} else {
			json_object_set_new(o, "kind", json_string("calendars"));
			if (v->bitcoin) {
				set_u64(o, "bitcoin_block", v->bitcoin);
				set_hex(o, "bitcoin_merkle_root", v->bitcoin_root, 32);
			}
		}
		json_array_append_new(list, o);
	}
	return list;
}
