/* SPDX-License-Identifier: Apache-2.0 */
/* round - decides, applies, holds what must wait and lets it go; see node.h and node_int.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "engine/exec.h"
#include "engine/hub.h"
#include "engine/links.h"
#include "engine/node_int.h"
#include "engine/results.h"
#include "wire/entry.h"

#define ARENA_BYTES      (256u << 10) /* doubles when a command needs more */
#define ARENA_BYTES_MAX  (1u << 30)
#define ENTRIES          64u
#define TICKS_PER_ROUND  4096u
#define PASSES_PER_ROUND 8u
#define DISK_CHECK_NS    100000000ull

static void arena_size(struct node *n, size_t bytes, size_t entries)
{
	free(n->arena_mem);
	n->arena_mem = aligned_alloc(16, bytes);
	CHECK(n->arena_mem);
	arena_init(&n->arena, n->arena_mem, bytes);
	free(n->entries.v);
	n->entries.v = calloc(entries, sizeof(*n->entries.v));
	CHECK(n->entries.v);
	n->entries.max = entries;
	n->entries.arena = &n->arena;
}

void round_init(struct node *n)
{
	arena_size(n, ARENA_BYTES, ENTRIES);
	n->effects.max = 2 * EFFECTS_PER_APPLY_MAX;
	n->effects.v = calloc(n->effects.max, sizeof(*n->effects.v));
	CHECK(n->effects.v);
	n->early_end = &n->early;
}

void round_release(struct node *n)
{
	held_release(&n->held);
	free(n->arena_mem);
	free(n->entries.v);
	free(n->effects.v);
	free(n->buf);
	while (n->early) {
		struct node_early *it = n->early;

		n->early = it->next;
		free(it);
	}
}

uint64_t round_now_ns(struct node *n)
{
	if (n->now_ns == 0)
		n->now_ns = clock_now_ns(&n->clock);
	return n->now_ns;
}

/* ---- one command ---- */

static void decide(struct node *n, const struct command *cmd)
{
	uint64_t now = round_now_ns(n);

	for (;;) {
		arena_clear(&n->arena);
		n->entries.n = 0;
		n->entries.full = 0;
		engine_decide(n->engine, now, cmd, &n->entries);
		if (!n->entries.full)
			return;
		CHECK(n->arena.size < ARENA_BYTES_MAX);
		arena_size(n, n->arena.size * 2, n->entries.max * 2);
	}
}

static uint64_t add_entry(struct node *n, const Wire__Entry *en, const uint8_t *outputs, size_t output_bytes)
{
	size_t bytes = entry_size(en);
	struct journal_index ix, *index = NULL;
	struct lease_view lease;
	uint64_t seq;

	if (bytes > n->buf_max) {
		size_t max = n->buf_max ? n->buf_max : 4096;

		while (max < bytes)
			max *= 2;
		free(n->buf);
		n->buf = malloc(max);
		CHECK(n->buf);
		n->buf_max = max;
	}
	CHECK(entry_encode(en, n->buf) == bytes);
	if (en->body_case == WIRE__ENTRY__BODY_RESULTS &&
	        engine_lease(n->engine, (lease_id){en->results->lease}, &lease)) {
		ix = (struct journal_index){.job = lease.job.v,
		        .step = lease.step | (en->results->commitments.len ? JOURNAL_HELD : 0),
		        .first = en->results->first,
		        .count = en->results->count,
		        .outputs = outputs,
		        .output_bytes = output_bytes};
		index = &ix;
	} else if (en->body_case == WIRE__ENTRY__BODY_LATE_RESULT) {
		ix = (struct journal_index){.job = en->late_result->job,
		        .step = en->late_result->step | JOURNAL_LATE,
		        .first = en->late_result->first,
		        .count = en->late_result->count};
		index = &ix;
	}
	seq = journal_add(n->journal, n->buf, bytes, index);
	CHECK(seq == n->size);
	n->size = seq + 1;
	n->in_batch++;
	snapshots_note(n, bytes);
	return seq;
}

static void hold_effects(struct node *n)
{
	for (size_t i = 0; i < n->effects.n; i++) {
		struct held_item it = {.seq = n->size, .kind = HELD_EFFECT, .u.effect = n->effects.v[i]};

		held_push(&n->held, &it);
	}
	n->effects.n = 0;
}

static enum err_code code_from(const char *name)
{
	for (int c = ERR_INVALID; c <= ERR_CLOSED; c++)
		if (strcmp(err_code_name((enum err_code)c), name) == 0)
			return (enum err_code)c;
	return ERR_INVALID;
}

/* What the entry means for whoever asked. */
static void answer_from(struct node_answer *a, const Wire__Entry *en, uint64_t seq)
{
	a->seq = seq;
	switch (en->body_case) {
	case WIRE__ENTRY__BODY_REFUSED:
		a->code = code_from(en->refused->code);
		(void)snprintf(a->message, sizeof(a->message), "%s", en->refused->reason);
		(void)snprintf(a->hint, sizeof(a->hint), "%s", en->refused->hint);
		break;
	case WIRE__ENTRY__BODY_JOB_SUBMITTED:
		a->job.v = en->job_submitted->job;
		(void)snprintf(a->warning, sizeof(a->warning), "%s", en->job_submitted->warning);
		break;
	case WIRE__ENTRY__BODY__NOT_SET:
	case WIRE__ENTRY__BODY_BOOT:
	case WIRE__ENTRY__BODY_NODE_SET:
	case WIRE__ENTRY__BODY_NAMESPACE_SET:
	case WIRE__ENTRY__BODY_LEASE_GRANTED:
	case WIRE__ENTRY__BODY_RESULTS:
	case WIRE__ENTRY__BODY_LEASE_STOPPING:
	case WIRE__ENTRY__BODY_LEASE_ENDED:
	case WIRE__ENTRY__BODY_LEASE_PARKED:
	case WIRE__ENTRY__BODY_LATE_RESULT:
	case WIRE__ENTRY__BODY_JOB_CANCELLED:
	case WIRE__ENTRY__BODY_JOB_RETRIED:
	case WIRE__ENTRY__BODY_JOB_ADJUSTED:
	case WIRE__ENTRY__BODY_EXPIRED:
	case WIRE__ENTRY__BODY_COMPARED:
	case WIRE__ENTRY__BODY_JOB_FORGOTTEN:
	case WIRE__ENTRY__BODY_RECEIPTS:
	case WIRE__ENTRY__BODY_KEY_SET:
	case WIRE__ENTRY__BODY_TOKEN_SET:
	case WIRE__ENTRY__BODY_CERT_SET:
	case WIRE__ENTRY__BODY_NODE_LINK:
	case WIRE__ENTRY__BODY_LINK_SET:
	case WIRE__ENTRY__BODY_NODE_FACTS:
	case WIRE__ENTRY__BODY_QUOTA_SET:
	case _WIRE__ENTRY__BODY__CASE_IS_INT_SIZE:
		break;
	}
}

/* Of the small outputs that came with `cmd`, those of this entry: results may have been cut to pieces. */
static void outputs_of(
        const struct command *cmd, const Wire__Entry *en, const uint8_t **outputs, size_t *bytes)
{
	const Wire__Results *all = cmd->u.results, *r = en->results;
	uint64_t from, to;

	if (cmd->kind != CMD_RESULTS || en->body_case != WIRE__ENTRY__BODY_RESULTS || r->count == all->count)
		return;
	from = results_at(all, r->first - all->first, OUTPUT_SMALL_MAX).small_bytes;
	to = results_at(all, r->first - all->first + r->count, OUTPUT_SMALL_MAX).small_bytes;
	CHECK(from <= to && to <= *bytes);
	*outputs = *outputs ? *outputs + from : NULL;
	*bytes = to - from;
}

void round_command(struct node *n, const struct command *cmd, const uint8_t *outputs, size_t output_bytes,
        struct node_answer *out)
{
	CHECK(!n->in_command && !n->read_only);
	n->in_command = true;
	decide(n, cmd);
	for (size_t i = 0; i < n->entries.n; i++) {
		const Wire__Entry *en = n->entries.v[i];
		const uint8_t *own = outputs;
		size_t own_bytes = output_bytes;
		uint64_t seq;

		outputs_of(cmd, en, &own, &own_bytes);
		seq = add_entry(n, en, own, own_bytes);
		engine_apply(n->engine, en, &n->effects);
		if (en->body_case == WIRE__ENTRY__BODY_NODE_SET ||
		        en->body_case == WIRE__ENTRY__BODY_NODE_LINK)
			links_offer(n);
		hold_effects(n);
		if (out)
			answer_from(out, en, seq);
	}
	if (n->entries.n)
		n->dirty = true;
	n->in_command = false;
}

void round_hold_ack(struct node *n, lease_id lease, uint64_t cursor, uint64_t who)
{
	struct held_item it = {
	        .seq = n->size, .kind = HELD_ACK, .u.ack = {.lease = lease, .cursor = cursor, .who = who}};

	held_push(&n->held, &it);
}

void round_hold_slot(struct node *n, uint32_t slot)
{
	struct held_item it = {.seq = n->size, .kind = HELD_SLOT, .u.slot = slot};

	held_push(&n->held, &it);
}

void round_results(
        struct node *n, const Wire__Results *r, const uint8_t *outputs, size_t output_bytes, uint64_t who)
{
	struct command cmd = {.kind = CMD_RESULTS, .u.results = r};

	round_command(n, &cmd, outputs, output_bytes, NULL);
	round_hold_ack(n, (lease_id){r->lease}, r->first + r->count, who);
}

/* ---- commands from outside ---- */

static void answer_early(struct node *n, node_answer_fn fn, void *ctx, enum err_code code,
        const char *message, const char *hint)
{
	struct node_early *it;

	if (!fn)
		return;
	it = calloc(1, sizeof(*it));
	CHECK(it);
	it->fn = fn;
	it->ctx = ctx;
	it->answer.code = code;
	(void)snprintf(it->answer.message, sizeof(it->answer.message), "%s", message);
	(void)snprintf(it->answer.hint, sizeof(it->answer.hint), "%s", hint);
	*n->early_end = it;
	n->early_end = &it->next;
}

/* Is there room for more? Asked at most ten times a second. */
static bool disk_low(struct node *n)
{
	struct statvfs fs;
	uint64_t now = round_now_ns(n);

	if (n->disk_checked_ns && now - n->disk_checked_ns < DISK_CHECK_NS)
		return n->disk_low;
	n->disk_checked_ns = now;
	n->disk_low = statvfs(n->state_dir, &fs) == 0 &&
	              (uint64_t)fs.f_bavail * fs.f_frsize < n->config.disk_reserve_bytes;
	return n->disk_low;
}

static void answer_standby(struct node *n, node_answer_fn fn, void *ctx)
{
	struct journal_record r = {.holder = ""};
	char message[240];

	(void)journal_record(n->journal, &r);
	(void)snprintf(message, sizeof(message), "this node is a standby: the record is held by %.120s",
	        r.holder[0] ? r.holder : "another engine");
	answer_early(
	        n, fn, ctx, ERR_DENIED, message, "ask that one; this one answers when it has taken over");
}

static bool refuse_early(struct node *n, const struct command *cmd, node_answer_fn fn, void *ctx)
{
	struct err why;

	if (node_standby(n)) {
		answer_standby(n, fn, ctx);
		return true;
	}
	if (n->read_only) {
		answer_early(n, fn, ctx, ERR_DENIED, "no node is up here, the journal is only looked at",
		        "start one with 'osier up'");
		return true;
	}
	if (n->stopping) {
		answer_early(n, fn, ctx, ERR_CLOSED, "the node is going down", "try again when it is up");
		return true;
	}
	if (journal_full_why(n->journal, &why) && why.code != ERR_FULL) {
		answer_early(n, fn, ctx, why.code, why.msg, why.hint);
		return true;
	}
	if (cmd->kind != CMD_SUBMIT && journal_full(n->journal)) {
		answer_early(n, fn, ctx, ERR_FULL,
		        "the disk of the state folder is full, nothing can be changed",
		        "make room; what was taken goes on by itself");
		return true;
	}
	if (cmd->kind == CMD_SUBMIT && (journal_full(n->journal) || disk_low(n))) {
		answer_early(n, fn, ctx, ERR_FULL, "the disk of the state folder is full, no job is taken",
		        "make room; what was taken goes on by itself");
		return true;
	}
	return false;
}

void node_command(struct node *n, const struct command *cmd, node_answer_fn fn, void *ctx)
{
	struct node_answer a;
	struct held_item it = {.kind = HELD_ANSWER};

	if (refuse_early(n, cmd, fn, ctx))
		return;
	memset(&a, 0, offsetof(struct node_answer, message));
	a.message[0] = a.hint[0] = a.warning[0] = '\0';
	a.job.v = 0;
	a.repeated = false;
	a.seq = 0;
	round_command(n, cmd, NULL, 0, &a);
	if (cmd->kind == CMD_SUBMIT && a.code == ERR_NONE && a.job.v == 0 && cmd->u.submit.key) {
		a.job = engine_job_by_key(n->engine, cmd->by, cmd->u.submit.key);
		a.repeated = true;
	}
	if (cmd->kind == CMD_ADJUST && a.code == ERR_NONE)
		exec_adjusted(n->exec, (job_id){cmd->u.adjust->job});
	if (!fn)
		return;
	it.seq = n->size;
	it.u.answer.fn = fn;
	it.u.answer.ctx = ctx;
	it.u.answer.job = a.job;
	it.u.answer.last = a.seq;
	it.u.answer.repeated = a.repeated;
	if (a.code != ERR_NONE || a.warning[0]) {
		it.u.answer.words = malloc(sizeof(a));
		CHECK(it.u.answer.words);
		*it.u.answer.words = a;
	}
	held_push(&n->held, &it);
	n->answers++;
}

bool node_settle(struct node *n, enum settle_for what, node_answer_fn fn, void *ctx)
{
	struct held_item it = {.seq = n->size,
	        .kind = HELD_ANSWER,
	        .u.answer = {.fn = fn, .ctx = ctx, .patient = what == SETTLE_TELL}};

	if (journal_durable(n->journal) >= n->size || (what == SETTLE_SHOW && journal_full(n->journal)))
		return false;
	held_push(&n->held, &it);
	n->answers++;
	return true;
}

/* ---- letting go ---- */

static void give_answer(const struct held_item *it)
{
	struct node_answer a, *words = it->u.answer.words;

	if (!it->u.answer.fn) {
		free(words);
		return;
	}
	if (words) {
		it->u.answer.fn(it->u.answer.ctx, words);
		free(words);
		return;
	}
	memset(&a, 0, sizeof(a));
	a.job = it->u.answer.job;
	a.repeated = it->u.answer.repeated;
	a.seq = it->u.answer.last;
	it->u.answer.fn(it->u.answer.ctx, &a);
}

static void answer_held(struct node *n, const struct node_answer *a, enum settle_for least)
{
	struct held_item *it;

	for (size_t i = 0; (it = held_at(&n->held, i)); i++) {
		node_answer_fn fn = it->u.answer.fn;

		if (it->kind != HELD_ANSWER || !fn || (it->u.answer.patient && least == SETTLE_SHOW))
			continue;
		it->u.answer.fn = NULL;
		fn(it->u.answer.ctx, a);
	}
}

/* The disk is full, and whoever waits is told so instead of waiting for room. What was decided stays, in memory. */
static void answer_full(struct node *n)
{
	struct node_answer a = {.code = ERR_FULL};
	struct err why;

	if (journal_full_why(n->journal, &why) && why.code != ERR_FULL) {
		a.code = why.code;
		(void)snprintf(a.message, sizeof(a.message), "not yet written: %.200s", why.msg);
		(void)snprintf(a.hint, sizeof(a.hint),
		        "it is written when the record is back, unless the node ends first");
		answer_held(n, &a, SETTLE_SHOW);
		return;
	}
	(void)snprintf(a.message, sizeof(a.message),
	        "the disk of the state folder became full before this was written");
	(void)snprintf(a.hint, sizeof(a.hint), "make room: then it is written, unless the node ends first");
	answer_held(n, &a, SETTLE_SHOW);
}

static void mark_watches(struct node *n, job_id job)
{
	for (struct node_watch *w = n->watches; w; w = w->next) {
		if (w->job == 0 || w->job == job.v) {
			w->due = true;
			n->watches_due = true;
		}
	}
	history_finished(n, job);
}

/* Not on a child. Of a lease that is gone the executor knows what it needs. */
static bool runs_here(const struct node *n, lease_id lease)
{
	struct lease_view v;

	return !engine_lease(n->engine, lease, &v) || v.node == NODE_THIS;
}

static void carry_out(struct node *n, const struct effect *ef)
{
	switch (ef->kind) {
	case EFFECT_START:
		if (runs_here(n, ef->lease))
			exec_start(n->exec, ef->lease);
		links_effect(n, ef);
		break;
	case EFFECT_STOP:
		if (runs_here(n, ef->lease))
			exec_stop(n->exec, ef->lease, ef->reason);
		links_effect(n, ef);
		break;
	case EFFECT_COMPARE:
		exec_compare(n->exec, ef);
		break;
	case EFFECT_REVEAL:
		if (runs_here(n, ef->lease))
			exec_reveal(n->exec, ef->lease);
		links_effect(n, ef);
		break;
	case EFFECT_JOB:
		mark_watches(n, ef->job);
		links_effect(n, ef);
		break;
	case EFFECT_FORGET:
		history_forget(n, ef->job);
		break;
	case EFFECT_IDENTITY:
		hub_changed(n);
		break;
	case EFFECT_ADJUST:
	case EFFECT_DELEGATED:
	case EFFECT_QUOTA:
	case EFFECT_LINK:
		links_effect(n, ef);
		break;
	}
}

void round_release_held(struct node *n, uint64_t durable)
{
	struct held_item it;
	bool more = durable > n->released;

	n->released = durable;
	while (held_pop(&n->held, durable, &it)) {
		switch (it.kind) {
		case HELD_EFFECT:
			carry_out(n, &it.u.effect);
			break;
		case HELD_ANSWER:
			give_answer(&it);
			break;
		case HELD_ACK:
			exec_ack(n->exec, it.u.ack.lease, it.u.ack.cursor, it.u.ack.who);
			break;
		case HELD_SLOT:
			exec_slot_free(n->exec, it.u.slot);
			break;
		}
	}
	if (more)
		links_durable(n);
}

static void tell_watches(struct node *n)
{
	struct node_watch *w, *next;

	if (!n->watches_due)
		return;
	n->watches_due = false;
	for (w = n->watches; w; w = w->next) {
		if (!w->due || w->dead)
			continue;
		w->due = false;
		w->fn(w->ctx, (job_id){w->job});
	}
	for (w = n->watches; w; w = next) {
		next = w->next;
		if (!w->dead)
			continue;
		*(w->prev ? &w->prev->next : &n->watches) = w->next;
		if (w->next)
			w->next->prev = w->prev;
		free(w);
	}
}

static void tell_early(struct node *n)
{
	while (n->early) {
		struct node_early *it = n->early;

		n->early = it->next;
		if (!n->early)
			n->early_end = &n->early;
		it->fn(it->ctx, &it->answer);
		free(it);
	}
}

void round_close(struct node *n)
{
	struct node_answer a = {.code = ERR_CLOSED, .message = "the node went down before this was written"};

	answer_held(n, &a, SETTLE_TELL);
	tell_early(n);
}

/* ---- the round's end ---- */

/* False when there is more to tick, but others shall have their turn first. */
static bool tick(struct node *n)
{
	struct command cmd = {.kind = CMD_TICK};

	if (n->stopping || journal_full(n->journal))
		return true;
	if (!n->dirty && engine_deadline_ns(n->engine, round_now_ns(n)) > round_now_ns(n))
		return true;
	for (unsigned i = 0; i < TICKS_PER_ROUND; i++) {
		n->dirty = false;
		round_command(n, &cmd, NULL, 0, NULL); /* sets dirty when entries came */
		if (!n->dirty)
			return true;
	}
	return false;
}

/* One client that waits gets its answer without two thread switches, and so does the end of a lease, which the next in its slot
 * waits for; with more work the loop goes on beside the fsync. */
static void flush(struct node *n)
{
	if (n->in_batch == 0)
		return;
	if (n->in_batch <= 4 && (n->answers == 1 || (n->answers == 0 && journal_quick(n->journal))))
		journal_flush_inline(n->journal);
	else
		journal_flush(n->journal);
	n->answers = 0;
	n->in_batch = 0;
}

static void on_timer(uv_timer_t *t)
{
	struct node *n = t->data;

	n->armed_ns = 0;
	n->dirty = true;
}

static void on_again(uv_idle_t *h)
{
	(void)h; /* its being active is enough: the loop does not wait */
}

static void arm(struct node *n, bool more)
{
	uint64_t now = round_now_ns(n), due = n->stopping ? UINT64_MAX : engine_deadline_ns(n->engine, now);

	if (more)
		(void)uv_idle_start(&n->again, on_again);
	else
		(void)uv_idle_stop(&n->again);
	if (due == n->armed_ns || (due == UINT64_MAX && n->armed_ns == 0))
		return;
	(void)uv_timer_stop(&n->timer);
	n->armed_ns = 0;
	if (due == UINT64_MAX)
		return;
	uv_update_time(&n->loop);
	(void)uv_timer_start(&n->timer, on_timer, due > now ? (due - now + 999999) / 1000000 : 0, 0);
	n->armed_ns = due;
}

void round_end(struct node *n)
{
	bool more = false;

	CHECK(!n->in_round);
	n->in_round = true;
	if (n->read_only) {
		tell_early(n);
		tell_watches(n);
		snapshots_consider(n); /* of a standby */
		n->now_ns = 0;
		n->in_round = false;
		return;
	}
	for (unsigned pass = 0; pass < PASSES_PER_ROUND; pass++) {
		if (!n->broken) {
			exec_round(n->exec);
			more = !tick(n);
			flush(n);
			round_release_held(n, journal_durable(n->journal));
		}
		if (journal_full(n->journal))
			answer_full(n);
		tell_early(n);
		tell_watches(n);
		if (!n->dirty && !n->early && n->in_batch == 0 && !exec_has_more(n->exec))
			break;
	}
	exec_flush(n->exec);
	links_flush(n);
	snapshots_consider(n);
	arm(n, more || exec_has_more(n->exec) ||
	                ((n->dirty || n->in_batch || n->early) && !journal_full(n->journal) && !n->broken));
	n->now_ns = 0;
	n->in_round = false;
	/* What was decided is durable, or cannot be: then nobody was told. */
	if (n->stopping && (journal_durable(n->journal) == n->size || journal_full(n->journal)))
		uv_stop(&n->loop);
}

void node_commit_now(struct node *n)
{
	round_end(n);
}
