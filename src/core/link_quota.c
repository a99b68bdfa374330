/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_quota - shares of quotas over a link; see link.h and quota.c. Pure.
 *
 * The child asks when a session begins, at half of what it has, when it has another share (so that the hub knows), and while a task
 * waits for more or it holds more than it may. What it says is durable: the question is made at one moment and sent when all of that
 * moment is. A hub answers with a document, or not at all when nothing has changed.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/link_int.h"

/* ---- the child ---- */

void child_quota_begin(struct link_end *l, uint64_t now)
{
	struct quota_view v;

	l->ask_bytes = 0;
	l->ask_look = 0;
	l->ask_first = 1;
	/* Who has none is told to ask when there is something to have. */
	l->ask_ns = l->shell.verify && engine_quota(l->shell.engine, 0, &v) ? now : UINT64_MAX;
}

void child_quota_look(struct link_end *l)
{
	struct quota_view v;

	l->ask_look = l->ask_look || engine_quota(l->shell.engine, 0, &v);
}

/* When the share is to be renewed by itself. */
static uint64_t renew_ns(const struct link_end *l, uint64_t now)
{
	uint64_t clock = l->shell.clock(l->shell.ctx), half;
	struct quota_view v;

	if (!engine_quota(l->shell.engine, 0, &v) || !v.shares)
		return UINT64_MAX; /* the hub says when that changes */
	if (v.over || v.until_ns <= clock || v.from_ns >= v.until_ns)
		return now + QUOTA_MISS_NS;
	half = v.from_ns + (v.until_ns - v.from_ns) / 2;
	return half > clock ? now + (half - clock) : now + QUOTA_ASK_NS;
}

/* As soon as the hub takes it: an answer changes what others get, whose questions change what we get. */
static void ask_soon(struct link_end *l, uint64_t now)
{
	uint64_t next = l->asked_ns + QUOTA_TAKE_NS;

	l->ask_ns = l->asked_ns && next > now ? next : now;
}

/* What came is worth nothing; what we had before counts. */
static void not_taken(struct link_end *l, const struct err *e)
{
	(void)snprintf(l->share_why, sizeof(l->share_why), "%s", e->msg);
	if (l->shell.changed)
		l->shell.changed(l->shell.ctx);
}

/* Is it a document of our hub's, for us, and none of before? One that is doubled is. */
static int believe(const struct link_end *l, const Link__Quota *m, struct arena *a, const Wire__Quota **out,
        struct err *e)
{
	struct quota_view had;

	if (!l->shell.verify ||
	        !l->shell.verify(l->shell.ctx, m->document.data, m->document.len, m->signature.data))
		return err_set(e, ERR_DENIED,
		        "it is not signed by the authority of the hub that this node has joined, or was "
		        "altered");
	if (frame_quota(a, &m->document, out, e) < 0)
		return -1;
	if ((*out)->node.len != 32 || memcmp((*out)->node.data, l->key, 32) != 0)
		return err_set(e, ERR_DENIED, "it is another node's");
	if (engine_quota(l->shell.engine, 0, &had) && (*out)->number < had.number)
		return err_set(e, ERR_EXISTS,
		        "it is from before: number %llu, and number %llu has come already",
		        (unsigned long long)(*out)->number, (unsigned long long)had.number);
	return 0;
}

void child_quota_came(struct link_end *l, uint64_t now, const Link__Quota *m, struct arena *a)
{
	struct command cmd = {.kind = CMD_QUOTA};
	struct err e = {0};

	if (m->document.len == 0) { /* there may be other shares now */
		ask_soon(l, now);
		return;
	}
	cmd.u.quota.document = &m->document;
	cmd.u.quota.signature = &m->signature;
	if (believe(l, m, a, &cmd.u.quota.said, &e) < 0) {
		link_bad(l);
		not_taken(l, &e);
		return;
	}
	if (!link_command(l, &cmd, &e)) { /* true, and too late: our clock was set meanwhile */
		not_taken(l, &e);
		return;
	}
	l->share_why[0] = '\0';
	l->ask_bytes = 0; /* what was to be said is of before */
	ask_soon(l, now);
}

/* Something happened here, and some time ago we last asked: is there something to ask again? */
static void look(struct link_end *l, uint64_t now)
{
	uint64_t busy;
	bool restless;

	if (!l->ask_look || now < l->asked_ns + QUOTA_ASK_NS)
		return;
	restless = engine_quota_restless(l->shell.engine, &busy);
	l->ask_look = restless; /* as long as it is so */
	if (restless || busy != l->asked_busy)
		l->ask_ns = now;
}

/* Say now what is so now. */
static void ask(struct link_end *l, uint64_t now)
{
	Link__QuotaAsk m = LINK__QUOTA_ASK__INIT;
	struct quota_view v;
	Wire__Quota *uses;
	struct arena a;

	arena_init(&a, l->scratch, l->scratch_bytes);
	l->ask_ns = UINT64_MAX;
	l->asked_ns = now;
	uses = engine_quota_uses(l->shell.engine, &a);
	if (!uses)
		return;
	(void)engine_quota_restless(l->shell.engine, &l->asked_busy);
	(void)engine_quota(l->shell.engine, 0, &v);
	m.now_ns = l->shell.clock(l->shell.ctx);
	m.have = v.number;
	m.first = l->ask_first;
	l->ask_first = 0;
	m.uses.len = wire__quota__get_packed_size(uses);
	m.uses.data = arena_alloc(&a, m.uses.len + 1);
	if (!m.uses.data)
		return;
	(void)wire__quota__pack(uses, m.uses.data);
	if (link__quota_ask__get_packed_size(&m) > sizeof(l->ask))
		return;
	l->ask_bytes = link__quota_ask__pack(&m, l->ask);
	l->ask_gate = l->shell.appended(l->shell.ctx);
}

size_t child_quota_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	ProtobufCAllocator alloc;
	struct arena a;

	if (!l->shell.verify)
		return 0;
	look(l, now);
	if (!l->ask_bytes && now >= l->ask_ns)
		ask(l, now);
	if (!l->ask_bytes || l->shell.durable(l->shell.ctx) < l->ask_gate)
		return 0;
	arena_init(&a, l->scratch, l->scratch_bytes);
	arena_allocator(&a, &alloc);
	f.body_case = LINK__FRAME__BODY_QUOTA_ASK;
	f.quota_ask = link__quota_ask__unpack(&alloc, l->ask_bytes, l->ask);
	l->ask_bytes = 0;
	if (l->ask_ns == UINT64_MAX)
		l->ask_ns = renew_ns(l, now);
	return f.quota_ask ? link_emit(l, now, &f, true, 0, out) : 0;
}

uint64_t child_quota_deadline(const struct link_end *l)
{
	uint64_t due = l->ask_ns, next = l->asked_ns + QUOTA_ASK_NS;

	if (!l->shell.verify || l->ask_bytes) /* that waits for the journal */
		return UINT64_MAX;
	return l->ask_look && next < due ? next : due;
}

/* ---- the hub ---- */

void hub_quota_asked(struct link_end *l, uint64_t now, const Link__QuotaAsk *m, struct arena *a)
{
	struct command cmd = {.kind = CMD_QUOTA_ASK};
	uint64_t from = l->ask_ns > now ? l->ask_ns : now;
	struct err e;

	if (!l->shell.sign)
		return;
	if (from - now >
	        QUOTA_ASKS *
	                QUOTA_TAKE_NS) /* too many, or a slow link gave them all at once; it asks again */
		return;
	if (frame_quota(a, &m->uses, &cmd.u.quota_ask.uses, &e) < 0) {
		link_bad(l);
		return;
	}
	l->ask_ns = from + QUOTA_TAKE_NS;
	cmd.u.quota_ask.node = l->node;
	cmd.u.quota_ask.now_ns = m->now_ns;
	cmd.u.quota_ask.have = m->have;
	cmd.u.quota_ask.first = m->first;
	(void)link_command(l, &cmd, NULL);
}

void hub_quota_effect(struct link_end *l, uint64_t number)
{
	if (number > l->quota_told)
		l->quota_due = number;
}

size_t hub_quota_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Quota m = LINK__QUOTA__INIT;
	uint8_t signature[64];
	struct quota_view v;

	if (l->shell.sign && l->quota_ask) {
		l->quota_ask = 0;
		if (!engine_quota_limited(l->shell.engine) && !engine_quota(l->shell.engine, l->node, &v))
			return 0;
		f.body_case = LINK__FRAME__BODY_QUOTA;
		f.quota = &m;
		return link_emit(l, now, &f, true, 0, out);
	}
	if (!l->quota_due || !l->shell.sign)
		return 0;
	if (!engine_quota(l->shell.engine, l->node, &v) || v.number != l->quota_due)
		return 0; /* a later one is on its way to the disk */
	l->quota_due = 0;
	if (v.over || !l->shell.sign(l->shell.ctx, v.document.data, v.document.len, signature))
		return 0;
	l->quota_told = v.number;
	m.document = v.document;
	m.signature = (ProtobufCBinaryData){sizeof(signature), signature};
	f.body_case = LINK__FRAME__BODY_QUOTA;
	f.quota = &m;
	return link_emit(l, now, &f, true, 0, out);
}
