/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor_save - what outlives a death of the process; see anchor.h.
 *
 *	"OSANCHR1" || RLP([chain id, from, contract, what, origin, size, root, nonce, [raw transaction, ...],
 *	              [mined: 0 or 1, ok, block, gas used, log index, block hash, which], reorganised, outcome,
 *	              [size there, time there, root there]]) || Keccak-256 of all before it
 *
 * Raw transactions carry their prices and signatures, so what is read back is what was signed or it is refused.
 */
#include <string.h>

#include "base/check.h"
#include "core/anchor_int.h"
#include "core/keccak.h"
#include "core/rlp.h"

static const char magic[8] = {'O', 'S', 'A', 'N', 'C', 'H', 'R', '1'};

enum { DIGEST = 32 };

static void write_target(struct rlp_out *w, const struct anchor *a)
{
	bool deploy = a->target.what == ANCHOR_DEPLOY;

	rlp_u64(w, a->cfg.chain_id);
	rlp_string(w, a->cfg.from, sizeof(a->cfg.from));
	rlp_string(w, a->cfg.contract, deploy ? 0 : sizeof(a->cfg.contract));
	rlp_u64(w, a->target.what);
	rlp_string(w, a->target.origin, sizeof(a->target.origin));
	rlp_u64(w, a->target.size);
	rlp_string(w, a->target.root, sizeof(a->target.root));
}

size_t anchor_save(const struct anchor *a, uint8_t out[ANCHOR_SAVE_MAX])
{
	uint8_t raw[EVM_TX_MAX];
	struct rlp_out w;
	size_t n;

	memcpy(out, magic, sizeof(magic));
	rlp_begin(&w, out + sizeof(magic), ANCHOR_SAVE_MAX - sizeof(magic) - DIGEST);
	rlp_list_begin(&w);
	write_target(&w, a);
	rlp_u64(&w, a->nonce);
	rlp_list_begin(&w);
	for (unsigned i = 0; i < a->tries; i++)
		rlp_string(&w, raw, anchor_raw(a, i, raw));
	rlp_list_end(&w);
	rlp_list_begin(&w);
	rlp_u64(&w, a->mined.is);
	rlp_u64(&w, a->mined.ok);
	rlp_u64(&w, a->mined.block);
	rlp_u64(&w, a->mined.gas_used);
	rlp_u64(&w, a->mined.log_index);
	rlp_string(&w, a->mined.block_hash, sizeof(a->mined.block_hash));
	rlp_u64(&w, a->mined.which);
	rlp_list_end(&w);
	rlp_u64(&w, a->reorganised);
	rlp_u64(&w, a->outcome);
	rlp_list_begin(&w);
	rlp_u64(&w, a->there.size);
	rlp_u64(&w, a->there.time_s);
	rlp_string(&w, a->there.root, sizeof(a->there.root));
	rlp_list_end(&w);
	rlp_list_end(&w);
	n = rlp_end(&w);
	CHECK(n > 0);
	n += sizeof(magic);
	keccak256(out, n, out + n);
	return n + DIGEST;
}

static int bad(struct err *e)
{
	return err_set(e, ERR_CORRUPT, "what was kept of an anchor is damaged");
}

static int read_fixed(struct rlp_in *r, uint8_t *out, size_t n)
{
	struct rlp_item item;

	if (rlp_next_kind(r, RLP_STRING, &item, NULL) < 0 || item.n != n)
		return -1;
	if (n)
		memcpy(out, item.p, n);
	return 0;
}

static int read_small(struct rlp_in *r, uint64_t max, unsigned *out)
{
	uint64_t v;

	if (rlp_next_u64(r, &v, NULL) < 0 || v > max)
		return -1;
	*out = (unsigned)v;
	return 0;
}

/* Chain, account and contract must be the configuration's: on another chain the same bytes mean nothing. */
static int read_target(struct rlp_in *r, struct anchor *a, struct err *e)
{
	uint8_t from[20], contract[20];
	uint64_t chain;
	unsigned what;
	struct rlp_in at = *r;
	struct rlp_item item;

	if (rlp_next_u64(&at, &chain, NULL) < 0 || read_fixed(&at, from, 20) < 0 ||
	        rlp_next_kind(&at, RLP_STRING, &item, NULL) < 0 ||
	        read_small(&at, ANCHOR_DEPLOY, &what) < 0 ||
	        item.n != (what == ANCHOR_DEPLOY ? 0 : sizeof(contract)))
		return bad(e);
	a->target.what = what == ANCHOR_DEPLOY ? ANCHOR_DEPLOY : ANCHOR_HEAD;
	if (chain != a->cfg.chain_id || memcmp(from, a->cfg.from, 20) != 0 ||
	        (item.n && memcmp(item.p, a->cfg.contract, 20) != 0)) {
		(void)err_set(e, ERR_INVALID,
		        "an anchor is on its way from another account, or to another chain or contract");
		return err_hint(e, "finish it with the configuration that it began with, or drop it");
	}
	if (read_fixed(&at, a->target.origin, 32) < 0 || rlp_next_u64(&at, &a->target.size, NULL) < 0 ||
	        read_fixed(&at, a->target.root, 32) < 0 ||
	        (a->target.what == ANCHOR_HEAD && a->target.size == 0))
		return bad(e);
	*r = at;
	return 0;
}

/* A kept transaction is ours when encoding what was read gives the same bytes. */
static int read_try(struct rlp_in *r, struct anchor *a)
{
	uint8_t again[EVM_TX_MAX];
	struct rlp_item item;
	struct anchor_try t = {0};
	struct evm_tx tx;
	size_t n;

	if (a->tries == ANCHOR_TRIES_MAX || rlp_next_kind(r, RLP_STRING, &item, NULL) < 0 ||
	        evm_tx_parse(item.p, item.n, &tx, &t.sig, NULL) < 0)
		return -1;
	t.tip = tx.tip;
	t.fee = tx.fee;
	t.gas = tx.gas;
	tx = anchor_tx(a, &t);
	n = evm_tx_raw(&tx, &t.sig, again, sizeof(again), t.hash);
	if (n != item.n || memcmp(again, item.p, n) != 0)
		return -1;
	a->try[a->tries++] = t;
	return 0;
}

static int read_mined(struct rlp_in *r, struct anchor_mined *m, unsigned tries)
{
	struct rlp_item list;
	struct rlp_in in;
	unsigned is, ok;

	if (rlp_next_kind(r, RLP_LIST, &list, NULL) < 0)
		return -1;
	in = (struct rlp_in){list.p, list.n};
	if (read_small(&in, 1, &is) < 0 || read_small(&in, 1, &ok) < 0 ||
	        rlp_next_u64(&in, &m->block, NULL) < 0 || rlp_next_u64(&in, &m->gas_used, NULL) < 0 ||
	        rlp_next_u64(&in, &m->log_index, NULL) < 0 || read_fixed(&in, m->block_hash, 32) < 0 ||
	        read_small(&in, ANCHOR_TRIES_MAX - 1, &m->which) < 0 || in.left != 0 ||
	        (is && m->which >= tries))
		return -1;
	m->is = is;
	m->ok = ok;
	return 0;
}

static int read_rest(struct rlp_in *r, struct anchor *a)
{
	struct rlp_item list;
	struct rlp_in in;
	unsigned outcome;

	if (rlp_next_u64(r, &a->nonce, NULL) < 0 || rlp_next_kind(r, RLP_LIST, &list, NULL) < 0)
		return -1;
	for (in = (struct rlp_in){list.p, list.n}; in.left;)
		if (read_try(&in, a) < 0)
			return -1;
	if (read_mined(r, &a->mined, a->tries) < 0 || read_small(r, UINT32_MAX, &a->reorganised) < 0 ||
	        read_small(r, ANCHOR_FAILED, &outcome) < 0 || rlp_next_kind(r, RLP_LIST, &list, NULL) < 0 ||
	        r->left)
		return -1;
	in = (struct rlp_in){list.p, list.n};
	if (rlp_next_u64(&in, &a->there.size, NULL) < 0 || rlp_next_u64(&in, &a->there.time_s, NULL) < 0 ||
	        read_fixed(&in, a->there.root, 32) < 0 || in.left)
		return -1;
	a->outcome = (enum anchor_outcome)outcome;
	return 0;
}

int anchor_resume(struct anchor *a, const struct anchor_config *cfg, const uint8_t *bytes, size_t n,
        uint64_t now_ns, struct err *e)
{
	struct anchor_target none = {.what = ANCHOR_DEPLOY};
	struct rlp_item list;
	uint8_t digest[DIGEST];
	struct rlp_in r;

	anchor_begin(a, cfg, &none, now_ns);
	if (n < sizeof(magic) + DIGEST || n > ANCHOR_SAVE_MAX || memcmp(bytes, magic, sizeof(magic)) != 0)
		return bad(e);
	keccak256(bytes, n - DIGEST, digest);
	if (memcmp(digest, bytes + n - DIGEST, DIGEST) != 0)
		return bad(e);
	r = (struct rlp_in){bytes + sizeof(magic), n - DIGEST - sizeof(magic)};
	if (rlp_next_kind(&r, RLP_LIST, &list, NULL) < 0 || r.left)
		return bad(e);
	r = (struct rlp_in){list.p, list.n};
	if (read_target(&r, a, e) < 0)
		return -1;
	evm_anchor_call(a->target.origin, a->target.size, a->target.root, a->call);
	if (read_rest(&r, a) < 0)
		return bad(e);
	if (a->outcome != ANCHOR_OPEN)
		a->step = STEP_END;
	return 0;
}
