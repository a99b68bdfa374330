/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_commit - results of replicas: committed to when they are there, revealed when the core asks; see core/commit.c.
 *
 * What a commitment stands for, with its nonces, lies beside the commitment's entry in the journal, as outputs lie beside results:
 * written in one transaction with it, so that whoever is killed in between has both or neither. The process or the worker is
 * acknowledged then, and its slot given back; the run waits without one.
 *
 *	what lies beside a commitment: u32 length, little-endian | packed Results, with nonces | small outputs
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "engine/exec_int.h"
#include "wire/entry.h"

static void random_bytes(uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		CHECK(got > 0);
		p += got;
		n -= (size_t)got;
	}
}

/* Commit to these successes; `small` are their outputs. */
static void commit(struct exec *x, struct run *r, Wire__Results *m, const uint8_t *small, size_t small_bytes)
{
	Wire__Results c = WIRE__RESULTS__INIT;
	uint8_t *nonces = malloc(m->count * RESULT_NONCE_BYTES), *sums = malloc(m->count * 32), *kept;
	size_t packed;

	CHECK(nonces && sums);
	random_bytes(nonces, m->count * RESULT_NONCE_BYTES);
	m->nonces = (ProtobufCBinaryData){m->count * RESULT_NONCE_BYTES, nonces};
	engine_commitments(m, sums);
	packed = results_size(m);
	kept = malloc(4 + packed + small_bytes);
	CHECK(kept && packed <= UINT32_MAX);
	for (int i = 0; i < 4; i++)
		kept[i] = (uint8_t)(packed >> (8 * i));
	CHECK(results_encode(m, kept + 4) == packed);
	if (small_bytes)
		memcpy(kept + 4 + packed, small, small_bytes);
	c.lease = m->lease;
	c.first = m->first;
	c.count = m->count;
	c.commitments = (ProtobufCBinaryData){m->count * 32, sums};
	round_results(x->n, &c, kept, 4 + packed + small_bytes, slot_who(r->slot));
	free(kept);
	free(sums);
	free(nonces);
}

void commit_tell(struct exec *x, struct run *r, struct results *res)
{
	struct results_slice s = {0};

	while (results_slice_next(res, &s)) {
		s.message.lease = r->lease;
		s.message.first = r->told;
		r->told += s.message.count;
		if (RESULT_COLUMN(&s.message, outcome, 0) == WIRE__OUTCOME__SUCCEEDED)
			commit(x, r, &s.message, s.small, s.small_bytes);
		else
			round_results(x->n, &s.message, s.small, s.small_bytes, slot_who(r->slot));
	}
}

/* ---- revealing ---- */

struct looking {
	uint64_t lease, seq;
	bool found;
};

static int is_ours(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n)
{
	struct looking *k = ctx;
	uint64_t lease;

	if (entry_peek(bytes, n, &lease) == WIRE__ENTRY__BODY_RESULTS && lease == k->lease) {
		k->found = true;
		k->seq = seq;
	}
	return 0;
}

/* Reveal what lies beside entry `seq`; *out_count: of how many tasks. */
static int reveal_one(struct exec *x, struct run *r, uint64_t seq, uint64_t *out_count, struct err *e)
{
	const uint8_t *bytes, *small;
	struct command cmd = {.kind = CMD_RESULTS};
	const Wire__Results *m;
	size_t n, small_bytes;
	struct arena a;
	uint8_t *copy, *mem;
	size_t mem_bytes;
	int rc;

	if (journal_read_outputs(x->n->reader, seq, &bytes, &n, e) < 0)
		return -1;
	mem_bytes = 65536 + 16 * n;
	copy = malloc(n + 1);
	mem = aligned_alloc(16, (mem_bytes + 15) & ~(size_t)15);
	CHECK(copy && mem);
	if (n)
		memcpy(copy, bytes, n);
	arena_init(&a, mem, mem_bytes);
	rc = held_decode(&a, copy, n, &m, &small, &small_bytes, e);
	if (rc == 0 && m->lease != r->lease)
		rc = err_set(e, ERR_CORRUPT, "what lies beside entry %llu is of another lease",
		        (unsigned long long)seq);
	if (rc == 0) {
		*out_count = m->count;
		cmd.u.results = m;
		round_command(x->n, &cmd, small, small_bytes, NULL);
	}
	free(copy);
	free(mem);
	return rc;
}

static int reveal_all(struct exec *x, struct run *r, struct err *e)
{
	for (uint64_t n; r->revealed < r->end; r->revealed += n) {
		uint64_t t = r->revealed;
		struct looking k = {.lease = r->lease};

		n = 1; /* it failed, and was told */
		if (journal_read_attempts(x->n->reader, r->job, JOURNAL_HELD | r->step, t, is_ours, &k, e) <
		                0 &&
		        e->code != ERR_NOTFOUND)
			return -1;
		if (k.found && reveal_one(x, r, k.seq, &n, e) < 0)
			return -1;
	}
	return 0;
}

bool commit_waits(struct exec *x, struct run *r)
{
	struct lease_view v;

	return !r->stopped && engine_lease(x->n->engine, (lease_id){r->lease}, &v) && v.held > 0;
}

bool commit_reveal(struct exec *x, struct run *r)
{
	struct err e = {0};
	int rc = reveal_all(x, r, &e);

	if (rc < 0 && exec_unread(&e)) {
		run_fill_later(x, r);
		return false;
	}
	r->reveal = false;
	if (rc == 0 && !commit_waits(x, r))
		return true;
	/* Its tasks run again: what they were is gone. */
	if (!e.msg[0])
		(void)err_set(&e, ERR_CORRUPT, "what was committed to is not there");
	r->reason = WIRE__STOP_REASON__KEEPER_LOST;
	(void)snprintf(r->note, sizeof(r->note), "%.200s", e.msg);
	return true;
}

void exec_reveal(struct exec *x, lease_id lease)
{
	struct run *r = run_find(x, lease.v);

	if (!r || r->stopped || r->stopping)
		return; /* its end says it */
	r->reveal = true;
	r->revealed = r->first;
	run_touch(x, r);
}
