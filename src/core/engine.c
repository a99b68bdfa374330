/* SPDX-License-Identifier: Apache-2.0 */
/* engine - memory, and which way commands and entries go; see engine.h and state.h. Pure. */
#include "core/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/state.h"
#include "wire/entry.h"

static uint32_t clamp(size_t v, uint32_t lo, uint32_t hi)
{
	return v < lo ? lo : v > hi ? hi : (uint32_t)v;
}

struct engine_limits engine_limits_default(size_t n)
{
	return (struct engine_limits){.memory_bytes = n,
	        .jobs_max = clamp(n / 8192, 64, 1u << 20),
	        .groups_max = clamp(n / 4096, 1536, 1u << 21),
	        .leases_max = clamp(n / 32768, 64, 1u << 18),
	        .nodes_max = clamp(n / 524288, 4, 16384),
	        .namespaces_max = clamp(n / 1048576, 16, 4096),
	        .delayed_max = clamp(n / 8192, 64, 1u << 20)};
}

/* Cuts pieces off the region. */
struct cutter {
	uint8_t *p;
	size_t left;
	int full;
};

static void *cut(struct cutter *c, size_t n)
{
	void *p = c->p;

	n = (n + 63) & ~(size_t)63;
	if (c->full || n > c->left) {
		c->full = 1;
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

static struct sched_limits sched_limits_of(const struct engine_limits *l)
{
	return (struct sched_limits){.groups_max = l->groups_max,
	        .jobs_max = l->jobs_max,
	        .leases_max = l->leases_max,
	        .nodes_max = l->nodes_max,
	        .namespaces_max = l->namespaces_max,
	        .kinds_max = clamp(l->groups_max / 8, 256, 65536)};
}

struct engine *engine_new(void *mem, const struct engine_limits *l)
{
	struct cutter c = {.p = mem, .left = l->memory_bytes};
	struct sched_limits sl = sched_limits_of(l);
	struct engine *e = cut(&c, sizeof(*e));
	void *jobs = cut(&c, pool_bytes(l->jobs_max, sizeof(struct job)));
	void *leases = cut(&c, pool_bytes(l->leases_max, sizeof(struct lease)));
	void *delays = cut(&c, pool_bytes(l->delayed_max, sizeof(struct delay)));
	void *job_ids = cut(&c, idmap_bytes(l->jobs_max)), *job_keys = cut(&c, idmap_bytes(l->jobs_max));
	void *lease_ids = cut(&c, idmap_bytes(l->leases_max)),
	     *delay_units = cut(&c, idmap_bytes(l->delayed_max));
	uint32_t n_timers = l->jobs_max + l->leases_max + l->delayed_max + l->nodes_max + 1;
	void *timers = cut(&c, heap_bytes(n_timers));
	void *delegated = cut(&c, idmap_bytes(l->jobs_max));
	void *children = cut(&c, ((size_t)l->nodes_max + 1) * sizeof(struct child));
	void *trust = cut(&c, ((size_t)l->nodes_max + 1) * sizeof(struct trust));
	void *nodes = cut(&c, ((size_t)l->nodes_max + 1) * sizeof(uint32_t));
	void *quotas = cut(&c, ((size_t)l->nodes_max + 1) * sizeof(uint32_t));
	void *namespaces = cut(&c, (size_t)l->namespaces_max * sizeof(uint32_t));
	void *groups = cut(&c, ((size_t)l->groups_max + 1) * sizeof(struct group_of));
	void *sched = cut(&c, sched_bytes(&sl));
	struct identity_limits il = identity_limits(l->nodes_max);
	void *identity = cut(&c, identity_bytes(&il));

	CHECK(((uintptr_t)mem & 15) == 0);
	if (c.full || c.left < 65536)
		return NULL;
	e->limits = *l;
	pool_init(&e->jobs, jobs, l->jobs_max, sizeof(struct job));
	pool_init(&e->leases, leases, l->leases_max, sizeof(struct lease));
	pool_init(&e->delays, delays, l->delayed_max, sizeof(struct delay));
	idmap_init(&e->job_ids, job_ids, l->jobs_max);
	idmap_init(&e->job_keys, job_keys, l->jobs_max);
	idmap_init(&e->lease_ids, lease_ids, l->leases_max);
	idmap_init(&e->delay_units, delay_units, l->delayed_max);
	idmap_init(&e->delegated_leases, delegated, l->jobs_max);
	heap_init(&e->timers, timers, n_timers);
	e->children = children;
	e->trust = trust;
	e->nodes = nodes;
	e->namespaces = namespaces;
	e->quotas = quotas;
	e->groups = groups;
	e->sched = sched_new(sched, &sl);
	CHECK(e->sched);
	sched_filter(e->sched, child_filter, e);
	e->identity = identity_new(identity, &il);
	blocks_init(&e->blocks, c.p, c.left < BLOCKS_BYTES_MAX ? c.left : BLOCKS_BYTES_MAX);
	return e;
}

/* ---- decide ---- */

void *entry_alloc(struct deciding *d, size_t n)
{
	void *p = d->out->full ? NULL : arena_alloc(d->out->arena, n);

	if (!p)
		d->out->full = 1;
	return p;
}

Wire__Entry *entry_new(struct deciding *d, Wire__Entry__BodyCase body)
{
	Wire__Entry *en = entry_alloc(d, sizeof(*en));

	if (!en)
		return NULL;
	if (d->out->n == d->out->max) {
		d->out->full = 1;
		return NULL;
	}
	wire__entry__init(en);
	en->time_ns = d->now;
	en->body_case = body;
	d->out->v[d->out->n++] = en;
	return en;
}

static char *alloc_text(struct deciding *d, const char *s)
{
	char *p = entry_alloc(d, strlen(s) + 1);

	if (p)
		memcpy(p, s, strlen(s) + 1);
	return p;
}

void refuse(struct deciding *d, const char *what, const char *code, const char *hint, const char *fmt, ...)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_REFUSED);
	Wire__Refused *m = entry_alloc(d, sizeof(*m));
	char reason[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (!en || !m)
		return;
	wire__refused__init(m);
	m->what = alloc_text(d, what);
	m->by = (Wire__Principal *)(uintptr_t)d->by;
	m->code = alloc_text(d, code);
	m->reason = alloc_text(d, reason);
	m->hint = alloc_text(d, hint);
	en->refused = m;
}

static void decide_boot(struct deciding *d, const Wire__Boot *m)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_BOOT);
	Wire__Boot *copy = entry_alloc(d, sizeof(*copy));

	if (!en || !copy)
		return;
	*copy = *m;
	copy->epoch = d->e->epoch + 1;
	en->boot = copy;
}

/* What its owner said of the node before: labels stay when the node itself speaks again. False: no room to look. */
static bool keep_admin_labels(struct deciding *d, uint32_t node, Wire__NodeSet *m)
{
	ProtobufCAllocator alloc;
	const uint8_t *bytes;
	Wire__NodeSet *was;
	size_t n;

	if (!engine_node(d->e, node, &bytes, &n))
		return true;
	arena_allocator(d->out->arena, &alloc);
	was = d->out->full ? NULL : wire__node_set__unpack(&alloc, n, bytes);
	if (!was) {
		d->out->full = 1;
		return false;
	}
	m->n_admin_labels = was->n_admin_labels;
	m->admin_labels = was->admin_labels;
	return true;
}

Wire__NodeSet *node_set_copy(struct deciding *d, uint32_t node, const Wire__NodeSet *m)
{
	Wire__NodeSet *copy = entry_alloc(d, sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *m;
	copy->node = node;
	copy->by = (Wire__Principal *)(uintptr_t)d->by;
	return d->by || keep_admin_labels(d, node, copy) ? copy : NULL;
}

static void decide_node_set(struct deciding *d, const Wire__NodeSet *m)
{
	struct err err = {0};
	Wire__NodeSet *copy;
	Wire__Entry *en;

	if (m->key.len || m->journal.len || m->from_size || m->removed)
		refuse(d, "node_set", "invalid", "",
		        "a node joins, and is removed, by its hub's word, not by its own");
	else if (m->state == WIRE__NODE_SET__STATE__DISCONNECTED)
		refuse(d, "node_set", "invalid", "cordon or drain it", "only a link can be disconnected");
	else if (m->node == 0 || m->node > d->e->limits.nodes_max)
		refuse(d, "node_set", "full", "", "a node's number is 1 to %u, not %u",
		        d->e->limits.nodes_max, m->node);
	else if (!(copy = node_set_copy(d, m->node, m)))
		return;
	else if (sched_node_ok(d->e->sched, copy, &err) < 0)
		refuse(d, "node_set", "invalid", err.hint, "%s", err.msg);
	else if (!blocks_fits(&d->e->blocks, wire__node_set__get_packed_size(copy) + 8))
		refuse(d, "node_set", "full", "forget finished jobs", "no memory for another node");
	else if ((en = entry_new(d, WIRE__ENTRY__BODY_NODE_SET)))
		en->node_set = copy;
}

static bool local_ok(const Wire__NamespaceSet *m)
{
	for (size_t i = 0; i < m->n_local; i++) {
		bool part = false;

		for (size_t k = 0; k < m->n_quota; k++)
			part |= strcmp(m->quota[k]->name, m->local[i]->name) == 0 &&
			        m->local[i]->amount <= m->quota[k]->amount;
		if (!part)
			return false;
	}
	return m->n_local <= RESOURCES_MAX;
}

static void decide_namespace_set(struct deciding *d, const Wire__NamespaceSet *m)
{
	struct err err = {0};
	Wire__NamespaceSet *copy;
	Wire__Entry *en;

	if (d->by && d->by->uid != 0) {
		refuse(d, "namespace_set", "denied", "ask root",
		        "only root and the node's owner may set weights and quotas");
	} else if (sched_namespace_ok(d->e->sched, m, &err) < 0) {
		refuse(d, "namespace_set", "invalid", err.hint, "%s", err.msg);
	} else if (!local_ok(m)) {
		refuse(d, "namespace_set", "invalid",
		        "'local' is a part of 'quota': name the same resources, and no more of them",
		        "'local' of namespace '%.64s' is no part of its quota", m->name);
	} else if (m->lend_ns && (m->lend_ns < 10000000000u || m->lend_ns > 365ull * 86400u * 1000000000u)) {
		refuse(d, "namespace_set", "invalid", "", "a quota is lent for 10 s to 365 days");
	} else if (strlen(m->name) > 127) {
		refuse(d, "namespace_set", "invalid", "", "a namespace's name has at most 127 bytes, not %zu",
		        strlen(m->name));
	} else if (!blocks_fits(&d->e->blocks, wire__namespace_set__get_packed_size(m) + 8)) {
		refuse(d, "namespace_set", "full", "", "no memory for another namespace");
	} else {
		en = entry_new(d, WIRE__ENTRY__BODY_NAMESPACE_SET);
		copy = entry_alloc(d, sizeof(*copy));
		if (!en || !copy)
			return;
		*copy = *m;
		if (d->by)
			copy->by = (Wire__Principal *)(uintptr_t)d->by; /* else as the shell says */
		en->namespace_set = copy;
	}
}

/* Facts that change nothing here: whoever holds the log reads them. */
static void decide_receipts(struct deciding *d, const Wire__Receipts *m)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_RECEIPTS);

	if (en)
		en->receipts = (Wire__Receipts *)(uintptr_t)m;
}

static void decide_key_set(struct deciding *d, const Wire__KeySet *m)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_KEY_SET);
	Wire__KeySet *copy = entry_alloc(d, sizeof(*copy));

	if (!en || !copy)
		return;
	*copy = *m;
	if (d->by)
		copy->by = (Wire__Principal *)(uintptr_t)d->by;
	en->key_set = copy;
}

/* ---- who may join ---- */

static void refuse_err(struct deciding *d, const char *what, const struct err *e)
{
	refuse(d, what, err_code_name(e->code), e->hint, "%s", e->msg);
}

static void write_token(struct deciding *d, const Wire__TokenSet *m)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_TOKEN_SET);
	Wire__TokenSet *copy = entry_alloc(d, sizeof(*copy));

	if (!en || !copy)
		return;
	*copy = *m;
	copy->by = (Wire__Principal *)(uintptr_t)d->by;
	en->token_set = copy;
}

static void write_cert(struct deciding *d, const Wire__CertSet *m)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_CERT_SET);
	Wire__CertSet *copy = entry_alloc(d, sizeof(*copy));

	if (!en || !copy)
		return;
	*copy = *m;
	copy->by = (Wire__Principal *)(uintptr_t)d->by;
	en->cert_set = copy;
}

static void decide_token_set(struct deciding *d, const Wire__TokenSet *m)
{
	struct err e = {0};

	if (identity_may_token(d->e->identity, d->now, m, &e) < 0)
		refuse_err(d, "token_set", &e);
	else
		write_token(d, m);
}

/* A node that was here before has left, or lost what it knew: what we remember of its leases and journal holds no more. One that is new becomes a
 * node when its hub says so (CMD_NODE_JOIN). False: refused. */
static bool joins_anew(struct deciding *d, const Wire__CertSet *m)
{
	uint32_t node = engine_node_named(d->e, m->node);
	Wire__NodeSet set = WIRE__NODE_SET__INIT;

	if (node == 0 || !d->e->children[node].joined ||
	        memcmp(d->e->children[node].key, m->key.data, 32) != 0)
		return true;
	set.name = m->node;
	set.key = m->key;
	set.journal = m->journal;
	decide_node_join(d, &set);
	return d->out->n == 0 || d->out->v[d->out->n - 1]->body_case != WIRE__ENTRY__BODY_REFUSED;
}

static void decide_join(struct deciding *d, const uint8_t *hash, const Wire__CertSet *m)
{
	Wire__TokenSet t = WIRE__TOKEN_SET__INIT;
	struct err e = {0};
	bool again = false;

	if (identity_may_join(d->e->identity, d->now, hash, m, &again, &e) < 0) {
		refuse_err(d, "join", &e);
		return;
	}
	if (!again && !joins_anew(d, m))
		return;
	t.hash = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)hash};
	t.used_by = m->node;
	if (!again)
		write_token(d, &t);
	write_cert(d, m);
}

static void decide_cert_set(struct deciding *d, const Wire__CertSet *m)
{
	struct err e = {0};

	if (identity_may_cert(d->e->identity, d->now, m, &e) < 0)
		refuse_err(d, "cert_set", &e);
	else
		write_cert(d, m);
}

const struct identity *engine_identity(const struct engine *e)
{
	return e->identity;
}

static void decide_of_links(struct deciding *d, const struct command *cmd)
{
	if (cmd->kind == CMD_NODE_JOIN)
		decide_node_join(d, cmd->u.node_set);
	else if (cmd->kind == CMD_NODE_REMOVE)
		decide_node_remove(d, cmd->u.node_set->node);
	else if (cmd->kind == CMD_NODE_LINK)
		decide_node_link(d, cmd->u.node_link);
	else if (cmd->kind == CMD_LINK_SET)
		decide_link_set(d, cmd->u.link_set);
	else if (cmd->kind == CMD_DELEGATED)
		decide_delegated(d, cmd->u.delegated.spec, cmd->u.delegated.of);
	else if (cmd->kind == CMD_QUOTA_ASK)
		decide_quota_ask(d, cmd);
	else if (cmd->kind == CMD_QUOTA)
		decide_quota(d, cmd);
	else if (cmd->kind == CMD_PREEMPT)
		decide_preempt(d, cmd->u.job.job.v);
	else
		decide_handed_over(d, cmd->u.job.job.v);
}

static void decide_facts(struct deciding *d, const Wire__NodeFacts *m)
{
	Wire__NodeFacts *copy = entry_alloc(d, sizeof(*copy));
	Wire__Entry *en;

	if (!copy)
		return;
	*copy = *m;
	copy->set &= ~(uint32_t)WIRE__NODE_FACTS__WHAT__PAUSE; /* the core's own */
	if (m->n_latency) {
		copy->latency = entry_alloc(d, m->n_latency * sizeof(Wire__NodeFacts__Latency *));
		for (size_t i = 0; copy->latency && i < m->n_latency; i++) {
			copy->latency[i] = entry_alloc(d, sizeof(Wire__NodeFacts__Latency));
			if (!copy->latency[i])
				return;
			*copy->latency[i] = *m->latency[i];
		}
		if (!copy->latency)
			return;
	}
	if (sched_facts_news(d->e->sched, copy) && (en = entry_new(d, WIRE__ENTRY__BODY_NODE_FACTS)))
		en->node_facts = copy;
}

void engine_decide(const struct engine *e, uint64_t now_ns, const struct command *cmd, struct entry_list *out)
{
	struct deciding d = {.e = e, .now = now_ns, .by = cmd->by, .out = out};

	switch (cmd->kind) {
	case CMD_BOOT:
		decide_boot(&d, cmd->u.boot);
		return;
	case CMD_NODE_SET:
		decide_node_set(&d, cmd->u.node_set);
		return;
	case CMD_NAMESPACE_SET:
		decide_namespace_set(&d, cmd->u.namespace_set);
		return;
	case CMD_SUBMIT:
		decide_submit(&d, cmd->u.submit.spec, cmd->u.submit.key);
		return;
	case CMD_CANCEL:
		decide_cancel(&d, cmd->u.job.job.v, cmd->u.job.reason);
		return;
	case CMD_RETRY:
		decide_retry(&d, cmd->u.job.job.v);
		return;
	case CMD_ADJUST:
		decide_adjust(&d, cmd->u.adjust);
		return;
	case CMD_FORGET:
		decide_forget(&d, cmd->u.job.job.v, cmd->u.job.reason);
		return;
	case CMD_RESULTS:
		decide_results(&d, cmd->u.results);
		return;
	case CMD_LEASE_ENDED:
		decide_ended(&d, cmd->u.ended);
		return;
	case CMD_COMPARED:
		decide_compared(&d, cmd->u.compared);
		return;
	case CMD_RECEIPTS:
		decide_receipts(&d, cmd->u.receipts);
		return;
	case CMD_KEY_SET:
		decide_key_set(&d, cmd->u.key_set);
		return;
	case CMD_TOKEN_SET:
		decide_token_set(&d, cmd->u.token_set);
		return;
	case CMD_JOIN:
		decide_join(&d, cmd->u.join.hash, cmd->u.join.cert);
		return;
	case CMD_CERT_SET:
		decide_cert_set(&d, cmd->u.cert_set);
		return;
	case CMD_NODE_JOIN:
	case CMD_NODE_REMOVE:
	case CMD_NODE_LINK:
	case CMD_LINK_SET:
	case CMD_DELEGATED:
	case CMD_PREEMPT:
	case CMD_HANDED_OVER:
	case CMD_QUOTA_ASK:
	case CMD_QUOTA:
		decide_of_links(&d, cmd);
		return;
	case CMD_FACTS:
		decide_facts(&d, cmd->u.facts);
		return;
	case CMD_TICK:
		decide_tick(&d);
		return;
	}
	BUG("a command of an unknown kind");
}

/* ---- apply ---- */

void apply_boot(struct applying *a, const Wire__Boot *m)
{
	a->e->epoch = m->epoch;
	a->e->seed = m->seed;
	children_boot(a);
	reveal_boot(a);
	parent_boot(a);
	gang_boot(a);
}

/* A block with a packed message, its length before it. */
static uint32_t keep(struct engine *e, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint32_t block = blocks_take(&e->blocks, n + 4), len = (uint32_t)n;
	uint8_t *p;

	CHECK(block);
	p = blocks_at(&e->blocks, block);
	memcpy(p, &len, sizeof(len));
	(void)protobuf_c_message_pack(m, p + 4);
	return block;
}

void apply_node_set(struct applying *a, const Wire__NodeSet *m)
{
	struct engine *e = a->e;
	Wire__NodeSet bare = *m;
	uint32_t old;

	CHECK(m->node > 0 && m->node <= e->limits.nodes_max);
	bare.by = NULL;
	old = e->nodes[m->node];
	e->nodes[m->node] = keep(e, &bare.base);
	blocks_give(&e->blocks, old);
	CHECK(sched_node_set(e->sched, m) == 0);
	if (m->key.len == 32)
		child_joined(a, m);
	else if (m->removed)
		child_removed(a, m->node);
	else if (m->state == WIRE__NODE_SET__STATE__LOST)
		leases_lost(e, m->node);
	e->children[m->node].set = (uint8_t)m->state;
	e->children[m->node].commits = m->commits != 0;
	child_tell(e, m->node);
}

/* Does the kept NamespaceSet begin with this name (its field 1)? */
static bool same_namespace(const struct engine *e, uint32_t block, const Wire__NamespaceSet *m)
{
	const uint8_t *p = blocks_at(&e->blocks, block);
	size_t n = strlen(m->name);
	uint32_t len;

	memcpy(&len, p, sizeof(len));
	return n < 128 && len >= n + 2 && p[4] == 0x0a && p[5] == n && memcmp(p + 6, m->name, n) == 0;
}

void apply_namespace_set(struct applying *a, const Wire__NamespaceSet *m)
{
	struct engine *e = a->e;
	Wire__NamespaceSet bare = *m;
	uint32_t i = 0, block;

	bare.by = NULL;
	while (i < e->n_namespaces && !same_namespace(e, e->namespaces[i], m))
		i++;
	CHECK(i < e->limits.namespaces_max);
	block = keep(e, &bare.base);
	if (i < e->n_namespaces)
		blocks_give(&e->blocks, e->namespaces[i]);
	else
		e->n_namespaces++;
	e->namespaces[i] = block;
	CHECK(sched_namespace_set(e->sched, m) == 0);
	effect(a, &(struct effect){.kind = EFFECT_QUOTA, .b = 1});
}

static void apply_identity(struct applying *a, const Wire__Entry *en)
{
	if (en->body_case == WIRE__ENTRY__BODY_TOKEN_SET) {
		identity_apply_token(a->e->identity, a->now, en->token_set);
		return;
	}
	identity_apply_cert(a->e->identity, a->now, en->cert_set);
	if (en->cert_set->was.len)
		child_rekey(a->e, en->cert_set);
	effect(a, &(struct effect){.kind = EFFECT_IDENTITY});
}

static void apply_lease(struct applying *a, const Wire__Entry *en)
{
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED)
		apply_granted(a, en->lease_granted);
	else if (en->body_case == WIRE__ENTRY__BODY_RESULTS)
		apply_results(a, en->results);
	else if (en->body_case == WIRE__ENTRY__BODY_LEASE_STOPPING)
		apply_stopping(a, en->lease_stopping);
	else if (en->body_case == WIRE__ENTRY__BODY_LEASE_ENDED)
		apply_ended(a, en->lease_ended);
	else if (en->body_case == WIRE__ENTRY__BODY_LEASE_PARKED)
		apply_parked(a, en->lease_parked);
	else
		apply_late(a, en->late_result);
}

void engine_apply(struct engine *e, const Wire__Entry *en, struct effect_list *out)
{
	struct applying a = {.e = e, .now = en->time_ns, .out = out};

	CHECK(!out || out->max - out->n >= EFFECTS_PER_APPLY_MAX);
	switch (en->body_case) {
	case WIRE__ENTRY__BODY_BOOT:
		apply_boot(&a, en->boot);
		return;
	case WIRE__ENTRY__BODY_NODE_SET:
		apply_node_set(&a, en->node_set);
		return;
	case WIRE__ENTRY__BODY_NAMESPACE_SET:
		apply_namespace_set(&a, en->namespace_set);
		return;
	case WIRE__ENTRY__BODY_JOB_SUBMITTED:
		apply_submitted(&a, en->job_submitted);
		return;
	case WIRE__ENTRY__BODY_NODE_LINK:
		apply_node_link(&a, en->node_link);
		return;
	case WIRE__ENTRY__BODY_LINK_SET:
		apply_link_set(&a, en->link_set);
		return;
	case WIRE__ENTRY__BODY_REFUSED:
	case WIRE__ENTRY__BODY_RECEIPTS:
	case WIRE__ENTRY__BODY_KEY_SET:
		return; /* a fact, but nothing changes */
	case WIRE__ENTRY__BODY_TOKEN_SET:
	case WIRE__ENTRY__BODY_CERT_SET:
		apply_identity(&a, en);
		return;
	case WIRE__ENTRY__BODY_LEASE_GRANTED:
	case WIRE__ENTRY__BODY_RESULTS:
	case WIRE__ENTRY__BODY_LEASE_STOPPING:
	case WIRE__ENTRY__BODY_LEASE_ENDED:
	case WIRE__ENTRY__BODY_LEASE_PARKED:
	case WIRE__ENTRY__BODY_LATE_RESULT:
		apply_lease(&a, en);
		return;
	case WIRE__ENTRY__BODY_JOB_CANCELLED:
		apply_cancelled(&a, en->job_cancelled);
		return;
	case WIRE__ENTRY__BODY_JOB_RETRIED:
		apply_retried(&a, en->job_retried);
		return;
	case WIRE__ENTRY__BODY_JOB_ADJUSTED:
		apply_adjusted(&a, en->job_adjusted);
		return;
	case WIRE__ENTRY__BODY_EXPIRED:
		apply_expired(&a, en->expired);
		return;
	case WIRE__ENTRY__BODY_COMPARED:
		apply_compared(&a, en->compared);
		return;
	case WIRE__ENTRY__BODY_JOB_FORGOTTEN:
		apply_forgotten(&a, en->job_forgotten);
		return;
	case WIRE__ENTRY__BODY_QUOTA_SET:
		apply_quota_set(&a, en->quota_set);
		return;
	case WIRE__ENTRY__BODY_NODE_FACTS:
		sched_facts_set(e->sched, en->node_facts);
		return;
	case WIRE__ENTRY__BODY__NOT_SET:
	case _WIRE__ENTRY__BODY__CASE_IS_INT_SIZE:
		break;
	}
	BUG("an entry of an unknown kind");
}
