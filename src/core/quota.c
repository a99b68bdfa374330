/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota - shares of namespaces' quotas, lent to nodes that have joined for what is submitted there; see state.h. Pure.
 *
 * What a node may have counts against the quota here from before it is told until it has said that it holds less, or until its time is
 * over (and QUOTA_MARGIN_NS more): so all of the fleet together never holds more than the quota, whatever the link does.
 * A node's share is an even part (quota / (nodes + 1)) while it has work; when it has none and something here waits, the part is called
 * back, but for the namespace's `local`, which it keeps for good. Jobs of a hub's count at the hub, in a namespace NAME@hub here.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/state.h"
#include "wire/entry.h"

#define QUOTA_LOST_NS (10ull * 1000000000u) /* a share that was sent has come by then */
#define LENT_MAX                                                                                             \
	(1ull << 62) /* no sum of what nodes say they hold is more: as for capacities (sched_node.c) */

typedef uint64_t amounts[RESOURCES_MAX];

/* ---- small things ---- */

const char *quota_namespace(const Wire__JobSpec *spec, const char *name, char buf[96])
{
	if (!spec->as)
		return name;
	(void)snprintf(buf, 96, "%.80s@hub", name);
	return buf;
}

static bool of_hub(const char *name)
{
	return strchr(name, '@') != NULL;
}

static void read_needs(const struct engine *e, Wire__Need *const *v, size_t n, amounts out)
{
	const char *name;

	memset(out, 0, sizeof(amounts));
	for (uint32_t r = 0; r < RESOURCES_MAX && (name = sched_resource_name(e->sched, r)); r++)
		for (size_t i = 0; i < n; i++)
			if (strcmp(v[i]->name, name) == 0)
				out[r] = v[i]->amount;
}

/* The amounts of those resources that have a limit. False: no room. */
static bool write_needs(const struct engine *e, struct arena *a, const amounts v, const amounts limit,
        Wire__Need ***out, size_t *out_n)
{
	Wire__Need *needs = arena_calloc(a, RESOURCES_MAX, sizeof(*needs));
	const char *name;

	*out = arena_calloc(a, RESOURCES_MAX, sizeof(**out));
	*out_n = 0;
	if (!needs || !*out)
		return false;
	for (uint32_t r = 0; r < RESOURCES_MAX && (name = sched_resource_name(e->sched, r)); r++) {
		if (limit[r] == UINT64_MAX)
			continue;
		wire__need__init(&needs[r]);
		needs[r].name = (char *)(uintptr_t)name;
		needs[r].amount = v[r];
		(*out)[(*out_n)++] = &needs[r];
	}
	return true;
}

static const Wire__QuotaShare *share_of(Wire__QuotaShare *const *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i]->namespace_, name) == 0)
			return v[i];
	return NULL;
}

/* The kept one, unpacked; NULL: none, or no room (*out_full). */
static Wire__QuotaSet *quota_open(const struct engine *e, uint32_t node, struct arena *a)
{
	ProtobufCAllocator alloc;
	const uint8_t *p;
	uint32_t len;

	if (!e->quotas[node])
		return NULL;
	p = blocks_at(&e->blocks, e->quotas[node]);
	memcpy(&len, p, sizeof(len));
	arena_allocator(a, &alloc);
	return wire__quota_set__unpack(&alloc, len, p + 4);
}

static bool callable(const struct engine *e, const Wire__QuotaSet *m, const Wire__QuotaShare *s)
{
	amounts may, local, used;

	if (m->over || s->busy)
		return false;
	read_needs(e, s->may, s->n_may, may);
	read_needs(e, s->local, s->n_local, local);
	read_needs(e, s->used, s->n_used, used);
	for (uint32_t r = 0; r < RESOURCES_MAX; r++)
		if (may[r] > used[r] && may[r] > local[r])
			return true;
	return false;
}

/* ---- apply ---- */

/* A lent share counts, or not any more. */
static void lend(struct engine *e, const Wire__QuotaSet *m, bool back)
{
	for (size_t i = 0; i < m->n_shares; i++) {
		const Wire__QuotaShare *s = m->shares[i];

		sched_namespace_lend(e->sched, s->namespace_,
		        (const Wire__Need *const *)(m->over ? s->local : s->counted),
		        m->over ? s->n_local : s->n_counted, back);
		e->n_callable += callable(e, m, s) ? (back ? UINT32_MAX : 1) : 0;
	}
}

/* Our own share: what the hub allows us. */
static void cap(struct engine *e, const Wire__QuotaSet *m, bool off)
{
	for (size_t i = 0; i < m->n_shares; i++) {
		const Wire__QuotaShare *s = m->shares[i];
		Wire__Need zero[RESOURCES_MAX], *v[RESOURCES_MAX];
		size_t n = s->n_may < RESOURCES_MAX ? s->n_may : RESOURCES_MAX;

		if (off) {
			sched_namespace_uncap(e->sched, s->namespace_);
			continue;
		}
		for (size_t k = 0; k < n; k++) {
			zero[k] = *s->may[k];
			v[k] = &zero[k];
			for (size_t l = 0; m->over && l <= s->n_local; l++) {
				if (l == s->n_local)
					zero[k].amount = 0;
				else if (strcmp(s->local[l]->name, s->may[k]->name) == 0) {
					zero[k].amount = s->local[l]->amount;
					break;
				}
			}
		}
		(void)sched_namespace_cap(e->sched, s->namespace_, (const Wire__Need *const *)v, n);
	}
}

/* What holds more than we may now that its time is over makes way: the newest first, all of its namespace until it fits. */
static void make_way(struct engine *e, const char *name)
{
	struct sched_namespace_view v;
	amounts over;
	bool any = false;

	if (!sched_namespace_named(e->sched, name, &v))
		return;
	for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
		over[r] = v.left[r] != UINT64_MAX && v.used[r] > v.left[r] ? v.used[r] - v.left[r] : 0;
		any |= over[r] > 0;
	}
	for (uint32_t i = e->all_leases.tail; i && any; i = lease_at(e, i)->all.prev) {
		struct lease *l = lease_at(e, i);
		const struct job *j = job_at(e, l->job);
		amounts held;

		if (j->of_lease || l->parked || l->stopping || l->waits ||
		        strcmp((const char *)job_bytes(e, j) + j->namespace_at, name) != 0)
			continue;
		sched_lease_holds(e->sched, l->id, held);
		any = false;
		lease_doom(e, l, WIRE__STOP_REASON__PREEMPTED);
		for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
			over[r] = over[r] > held[r] ? over[r] - held[r] : 0;
			any |= over[r] > 0;
		}
	}
}

static void timer(struct engine *e, const Wire__QuotaSet *m)
{
	uint32_t item = e->limits.jobs_max + e->limits.leases_max + e->limits.delayed_max + 1 + m->node;

	if (m->over || m->n_shares == 0) /* nothing that could run out */
		heap_remove(&e->timers, item);
	else
		heap_set(&e->timers, item, m->until_ns, (uint64_t)m->node << 2 | 3);
}

/* The kept one, unpacked into a block that the caller gives back. There is one. */
static Wire__QuotaSet *kept(struct engine *e, uint32_t node, uint32_t *out_block)
{
	uint32_t len;
	Wire__QuotaSet *m;
	struct arena a;

	memcpy(&len, blocks_at(&e->blocks, e->quotas[node]), sizeof(len));
	*out_block = blocks_take_raw(&e->blocks, spec_opened_bytes(len));
	CHECK(*out_block);
	arena_init(&a, blocks_at(&e->blocks, *out_block), spec_opened_bytes(len));
	m = quota_open(e, node, &a);
	CHECK(m);
	return m;
}

/* Does it speak of other namespaces than the kept one? */
static bool is_of_others(struct engine *e, const Wire__QuotaSet *m)
{
	const Wire__QuotaSet *was;
	uint32_t block;
	bool others;

	if (!e->quotas[m->node])
		return m->n_shares > 0;
	was = kept(e, m->node, &block);
	others = was->n_shares != m->n_shares;
	for (size_t i = 0; i < m->n_shares; i++)
		others |= !share_of(was->shares, was->n_shares, m->shares[i]->namespace_);
	blocks_give(&e->blocks, block);
	return others;
}

/* Undo what the kept one says. */
static void undo(struct engine *e, uint32_t node)
{
	uint32_t block;
	Wire__QuotaSet *m;

	if (!e->quotas[node])
		return;
	m = kept(e, node, &block);
	if (node)
		lend(e, m, true);
	else
		cap(e, m, true);
	blocks_give(&e->blocks, block);
}

void quota_drop(struct applying *a, uint32_t node)
{
	struct engine *e = a->e;
	Wire__QuotaSet none = WIRE__QUOTA_SET__INIT;

	undo(e, node);
	blocks_give(&e->blocks, e->quotas[node]);
	e->quotas[node] = 0;
	none.node = node;
	none.over = 1;
	timer(e, &none);
}

void apply_quota_set(struct applying *a, const Wire__QuotaSet *m)
{
	struct engine *e = a->e;
	size_t n = wire__quota_set__get_packed_size(m);
	uint32_t block, len = (uint32_t)n;
	bool news; /* to our own nodes, who may have a share of our share */

	CHECK(m->node <= e->limits.nodes_max);
	news = !m->node && is_of_others(e, m);
	undo(e, m->node);
	block = blocks_take(&e->blocks, n + 4);
	CHECK(block);
	memcpy(blocks_at(&e->blocks, block), &len, sizeof(len));
	(void)wire__quota_set__pack(m, (uint8_t *)blocks_at(&e->blocks, block) + 4);
	if (e->quotas[m->node])
		blocks_give(&e->blocks, e->quotas[m->node]);
	e->quotas[m->node] = block;
	if (m->node)
		lend(e, m, false);
	else
		cap(e, m, false);
	timer(e, m);
	for (size_t i = 0; !m->node && m->over && a->now && i < m->n_shares; i++)
		make_way(e, m->shares[i]->namespace_);
	effect(a, &(struct effect){.kind = EFFECT_QUOTA, .a = m->node, .b = news, .task = m->number});
}

/* ---- decide: the hub's side ---- */

/* A namespace with a limit, as a child's share of it is worked out. */
struct pot {
	struct sched_namespace_view v;
	amounts limit, local;
	uint64_t lend_ns;
	bool waits;
};

static uint32_t nodes_joined(const struct engine *e)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i <= e->limits.nodes_max; i++)
		n += e->children[i].joined;
	return n;
}

Wire__NamespaceSet *engine_namespace_open(const struct engine *e, const char *name, struct arena *a)
{
	size_t n = strlen(name);

	for (uint32_t i = 0; i < e->n_namespaces; i++) {
		const uint8_t *p = blocks_at(&e->blocks, e->namespaces[i]);
		ProtobufCAllocator alloc;
		uint32_t len;

		memcpy(&len, p, sizeof(len));
		/* It begins with its name, field 1. */
		if (n > 127 || len < n + 2 || p[4] != 0x0a || p[5] != n || memcmp(p + 6, name, n) != 0)
			continue;
		arena_allocator(a, &alloc);
		return wire__namespace_set__unpack(&alloc, len, p + 4);
	}
	return NULL;
}

/* What its owner said of the namespace: `local`, and for how long it is lent. */
static void pot_said(struct deciding *d, struct pot *p)
{
	const Wire__NamespaceSet *m = engine_namespace_open(d->e, p->v.name, d->out->arena);

	if (!m)
		return;
	read_needs(d->e, m->local, m->n_local, p->local);
	p->lend_ns = m->lend_ns ? m->lend_ns : p->lend_ns;
}

/* The k-th namespace, if it has a limit that a child is to have a part of. */
static bool pot_open(struct deciding *d, uint32_t k, struct pot *p)
{
	const struct engine *e = d->e;
	bool limited = false, capped = false;

	memset(p, 0, sizeof(*p));
	if (!sched_namespace(e->sched, k, &p->v) || of_hub(p->v.name))
		return false;
	for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
		p->limit[r] = p->v.quota[r] < p->v.cap[r] ? p->v.quota[r] : p->v.cap[r];
		limited |= p->limit[r] != UINT64_MAX;
		capped |= p->v.cap[r] != UINT64_MAX;
	}
	if (!limited)
		return false;
	p->lend_ns = QUOTA_LEND_NS;
	pot_said(d, p);
	if (capped) /* below a hub nothing is for good that the hub has not said */
		memset(p->local, 0, sizeof(p->local));
	p->waits = sched_namespace_waits(e->sched, p->v.name);
	return true;
}

static uint64_t at_least(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What a child says, and what it had. */
struct asked {
	const Wire__QuotaShare *was, *use; /* or NULL */
	bool has_it;                       /* durably, what it was given last */
	bool was_over;
	uint32_t nodes;
};

/* One child's part of one namespace. False: no room. */
static bool share_out(struct deciding *d, const struct pot *p, const struct asked *q, Wire__QuotaShare *s)
{
	amounts counted, used, wants, may, might, local, even, limit;
	bool fits = true, wanted = false;
	struct arena *a = d->out->arena;

	memcpy(limit, p->limit, sizeof(limit));
	read_needs(d->e, q->was ? q->was_over ? q->was->local : q->was->counted : NULL,
	        q->was ? q->was_over ? q->was->n_local : q->was->n_counted : 0, counted);
	read_needs(d->e, q->was ? q->was_over ? q->was->local : q->was->may : NULL,
	        q->was ? q->was_over ? q->was->n_local : q->was->n_may : 0, might);
	read_needs(d->e,
	        q->use   ? q->use->used
	        : q->was ? q->was->used
	                 : NULL,
	        q->use   ? q->use->n_used
	        : q->was ? q->was->n_used
	                 : 0,
	        used);
	read_needs(d->e, q->use ? q->use->may : NULL, q->use ? q->use->n_may : 0, wants);
	s->busy = !q->use && q->was && q->was->busy;
	for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
		/* What it says it holds is its word, and is added to what others have. */
		used[r] = at_most(used[r], less(LENT_MAX, less(p->v.lent[r], counted[r])));
		even[r] = limit[r] == UINT64_MAX ? UINT64_MAX : limit[r] / (q->nodes + 1);
		fits &= wants[r] <= even[r];
		wanted |= wants[r] > 0;
		s->busy |= q->use && used[r] > 0 && limit[r] != UINT64_MAX;
	}
	s->busy |= wanted && fits;
	for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
		uint64_t floor, want, base, avail;

		if (limit[r] == UINT64_MAX)
			continue;
		avail = less(limit[r], p->v.used[r] + less(p->v.lent[r], counted[r]));
		floor = at_most(p->local[r], even[r]);
		want = at_least(s->busy || !p->waits ? even[r] : floor, floor);
		/* Until it has heard of less it may begin what it might. */
		base = at_least(q->has_it ? might[r] : counted[r], used[r]);
		may[r] = at_most(want, avail);
		local[r] = at_most(floor, avail);
		counted[r] = at_least(s->busy ? want : may[r], base);
	}
	s->namespace_ = (char *)(uintptr_t)p->v.name;
	return write_needs(d->e, a, may, limit, &s->may, &s->n_may) &&
	       write_needs(d->e, a, local, limit, &s->local, &s->n_local) &&
	       write_needs(d->e, a, counted, limit, &s->counted, &s->n_counted) &&
	       write_needs(d->e, a, used, limit, &s->used, &s->n_used);
}

static bool same_needs(Wire__Need *const *a, size_t na, Wire__Need *const *b, size_t nb)
{
	for (size_t i = 0; i < na && na == nb; i++)
		if (strcmp(a[i]->name, b[i]->name) != 0 || a[i]->amount != b[i]->amount)
			return false;
	return na == nb;
}

/* Does the child hear anything new? *counts: does anything count otherwise here? */
static bool says_more(const Wire__QuotaSet *was, const Wire__QuotaSet *now, bool *counts)
{
	bool more = was->n_shares != now->n_shares;

	*counts = more;
	for (size_t i = 0; i < now->n_shares; i++) {
		const Wire__QuotaShare *s = now->shares[i],
		                       *o = share_of(was->shares, was->n_shares, s->namespace_);

		more |= !o || !same_needs(o->may, o->n_may, s->may, s->n_may) ||
		        !same_needs(o->local, o->n_local, s->local, s->n_local);
		*counts |= !o || o->busy != s->busy || !same_needs(o->used, o->n_used, s->used, s->n_used) ||
		           !same_needs(o->counted, o->n_counted, s->counted, s->n_counted);
	}
	return more;
}

/* The document that says so, into *m. False: no room. */
static bool document(struct deciding *d, Wire__QuotaSet *m, const uint8_t *key, uint64_t until_ns)
{
	Wire__Quota q = WIRE__QUOTA__INIT;
	Wire__QuotaShare *bare = entry_alloc(d, (m->n_shares + 1) * sizeof(*bare));
	Wire__QuotaShare **list = entry_alloc(d, (m->n_shares + 1) * sizeof(*list));

	if (!bare || !list)
		return false;
	for (size_t i = 0; i < m->n_shares; i++) {
		bare[i] = *m->shares[i];
		bare[i].n_counted = bare[i].n_used = 0;
		bare[i].busy = 0;
		list[i] = &bare[i];
	}
	q.node = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)key};
	q.number = m->number;
	q.until_ns = until_ns;
	q.shares = list;
	q.n_shares = m->n_shares;
	m->document.len = wire__quota__get_packed_size(&q);
	m->document.data = entry_alloc(d, m->document.len + 1);
	if (!m->document.data)
		return false;
	(void)wire__quota__pack(&q, m->document.data);
	return true;
}

static void write_down(struct deciding *d, Wire__QuotaSet *m)
{
	size_t n = wire__quota_set__get_packed_size(m);
	Wire__Entry *en;

	if (!blocks_fits(&d->e->blocks, 2 * spec_opened_bytes(n) + n + 8))
		refuse(d, "quota", "full", "forget finished jobs", "no memory for another share of quotas");
	else if ((en = entry_new(d, WIRE__ENTRY__BODY_QUOTA_SET)))
		en->quota_set = m;
}

/* Every namespace's part for the child. NULL: no room. */
static Wire__QuotaSet *deal(
        struct deciding *d, const struct command *cmd, const Wire__QuotaSet *was, uint64_t *out_lend_ns)
{
	const Wire__Quota *uses = cmd->u.quota_ask.uses;
	Wire__QuotaSet *m = entry_alloc(d, sizeof(*m));
	struct asked q = {.nodes = nodes_joined(d->e),
	        .has_it = was && cmd->u.quota_ask.have == was->number,
	        .was_over = was && was->over};
	struct pot *p = entry_alloc(d, sizeof(*p));
	struct sched_namespace_view v;

	if (!m || !p)
		return NULL;
	wire__quota_set__init(m);
	m->shares = entry_alloc(d, QUOTA_SHARES_MAX * sizeof(*m->shares));
	*out_lend_ns = UINT64_MAX;
	for (uint32_t k = 0;
	        m->shares && sched_namespace(d->e->sched, k, &v) && m->n_shares < QUOTA_SHARES_MAX; k++) {
		Wire__QuotaShare *s;

		if (!pot_open(d, k, p))
			continue;
		s = entry_alloc(d, sizeof(*s));
		if (!s)
			return NULL;
		wire__quota_share__init(s);
		q.was = was ? share_of(was->shares, was->n_shares, p->v.name) : NULL;
		q.use = share_of(uses->shares, uses->n_shares, p->v.name);
		if (!share_out(d, p, &q, s))
			d->out->full = 1;
		m->shares[m->n_shares++] = s;
		*out_lend_ns = at_most(*out_lend_ns, p->lend_ns);
	}
	return m->shares && !d->out->full ? m : NULL;
}

void decide_quota_ask(struct deciding *d, const struct command *cmd)
{
	const struct engine *e = d->e;
	uint32_t node = cmd->u.quota_ask.node;
	uint64_t lend_ns, life;
	Wire__QuotaSet *was, *m, *own;
	bool counts = true, more;

	if (node == 0 || node > e->limits.nodes_max || !e->children[node].joined) {
		refuse(d, "quota", "not_found", "", "node %u has not joined", node);
		return;
	}
	was = quota_open(e, node, d->out->arena);
	own = quota_open(e, 0, d->out->arena);
	m = deal(d, cmd, was, &lend_ns);
	if ((e->quotas[node] && !was) || (e->quotas[0] && !own) || !m) {
		d->out->full = 1;
		return;
	}
	if (!was && !m->n_shares && !cmd->u.quota_ask.have)
		return; /* nothing has a limit here, and the node knows of none */
	life = at_most(lend_ns == UINT64_MAX ? QUOTA_LEND_NS : lend_ns,
	        own && own->n_shares && !own->over ? less(own->until_ns, d->now) : UINT64_MAX);
	m->node = node;
	m->from_ns = d->now;
	m->until_ns = add_ns(add_ns(d->now, life), QUOTA_MARGIN_NS(life));
	/* What it has not got in a while it never will: it was lost with a session, or the node does not take it. */
	more = !was ||
	       (was->number != cmd->u.quota_ask.have &&
	               (cmd->u.quota_ask.first || less(d->now, was->from_ns) > QUOTA_LOST_NS)) ||
	       says_more(was, m, &counts) ||
	       (m->n_shares && (was->over || less(m->until_ns, was->until_ns) > life / 4));
	if (more) {
		m->number = at_least(was ? was->number + 1 : 1, d->now);
		if (cmd->u.quota_ask.have / 2 <
		        d->now) /* of a hub that has forgotten it; nothing that a clock ever was is believed */
			m->number = at_least(m->number, cmd->u.quota_ask.have + 1);
		if (document(d, m, e->children[node].key, add_ns(cmd->u.quota_ask.now_ns, life)))
			write_down(d, m);
		return;
	}
	if (!counts)
		return;
	m->number = was->number;
	m->from_ns = was->from_ns;
	m->until_ns = was->until_ns;
	m->document = was->document;
	write_down(d, m);
}

/* ---- decide: time, and want ---- */

static void over(struct deciding *d, Wire__QuotaSet *m)
{
	if (!m) {
		d->out->full = 1;
		return;
	}
	m->over = 1;
	write_down(d, m);
}

void decide_quota_over(struct deciding *d, uint32_t node)
{
	CHECK(d->e->quotas[node]);
	over(d, quota_open(d->e, node, d->out->arena));
}

/* The part of it that nobody uses there: none from now on. */
static bool call_back(struct deciding *d, Wire__QuotaSet *m)
{
	bool any = false;

	for (size_t i = 0; i < m->n_shares; i++) {
		Wire__QuotaShare *s = m->shares[i];
		amounts used, local;

		if (!callable(d->e, m, s) || !sched_namespace_waits(d->e->sched, s->namespace_))
			continue;
		read_needs(d->e, s->used, s->n_used, used);
		read_needs(d->e, s->local, s->n_local, local);
		for (size_t k = 0; k < s->n_may; k++) {
			const char *name;

			for (uint32_t r = 0;
			        r < RESOURCES_MAX && (name = sched_resource_name(d->e->sched, r)); r++)
				if (strcmp(name, s->may[k]->name) == 0)
					s->may[k]->amount =
					        at_most(s->may[k]->amount, at_least(used[r], local[r]));
		}
		any = true;
	}
	return any;
}

bool decide_quota_back(struct deciding *d)
{
	const struct engine *e = d->e;
	struct sched_namespace_view v;
	bool waits = false;

	if (!e->n_callable)
		return false;
	for (uint32_t k = 0; !waits && sched_namespace(e->sched, k, &v); k++)
		waits = sched_namespace_waits(e->sched, v.name);
	for (uint32_t i = 1; waits && i <= e->limits.nodes_max; i++) {
		Wire__QuotaSet *m;
		Wire__Quota *doc;
		ProtobufCAllocator alloc;

		if (!e->quotas[i] || !e->children[i].joined ||
		        e->children[i].link != WIRE__NODE_SET__STATE__UP)
			continue; /* it could not be told */
		m = quota_open(e, i, d->out->arena);
		arena_allocator(d->out->arena, &alloc);
		doc = m ? wire__quota__unpack(&alloc, m->document.len, m->document.data) : NULL;
		if (!doc) {
			d->out->full = 1;
			return true;
		}
		if (!call_back(d, m))
			continue;
		m->number = at_least(m->number + 1, d->now);
		if (document(d, m, e->children[i].key, doc->until_ns))
			write_down(d, m);
		return true;
	}
	return false;
}

/* ---- decide: the child's side ---- */

void decide_quota(struct deciding *d, const struct command *cmd)
{
	const Wire__Quota *q = cmd->u.quota.said;
	Wire__QuotaSet *was = quota_open(d->e, 0, d->out->arena), *m = entry_alloc(d, sizeof(*m));

	if (!m || (d->e->quotas[0] && !was)) {
		d->out->full = 1;
		return;
	}
	if (!d->e->parent.name[0] || (was && q->number <= was->number))
		return; /* it has left, or has a later one */
	if (q->until_ns <= d->now) {
		refuse(d, "quota", "stale", "", "the share of quotas that came has run out");
		return;
	}
	wire__quota_set__init(m);
	m->number = q->number;
	m->from_ns = d->now;
	m->until_ns = q->until_ns;
	m->document = *cmd->u.quota.document;
	m->signature = *cmd->u.quota.signature;
	m->shares = q->shares;
	m->n_shares = q->n_shares;
	write_down(d, m);
}

/* ---- looking ---- */

bool engine_quota(const struct engine *e, uint32_t node, struct quota_view *out)
{
	uint8_t *bytes;
	uint64_t v;
	uint32_t len;

	*out = (struct quota_view){0};
	if (node > e->limits.nodes_max || !e->quotas[node])
		return false;
	bytes = blocks_at(&e->blocks, e->quotas[node]);
	memcpy(&len, bytes, sizeof(len));
	bytes += 4;
	for (uint8_t *end = bytes + len; bytes < end;) {
		unsigned field = *bytes >> 3, wire = *bytes & 7;

		bytes++;
		v = 0;
		for (unsigned shift = 0; shift < 64; shift += 7) {
			v |= (uint64_t)(*bytes & 127) << shift;
			if (!(*bytes++ & 128))
				break;
		}
		if (wire == 2) {
			if (field == 4)
				out->document = (ProtobufCBinaryData){v, bytes};
			else if (field == 5)
				out->signature = (ProtobufCBinaryData){v, bytes};
			out->shares += field == 6;
			bytes += v;
		} else if (field == 2) {
			out->number = v;
		} else if (field == 3) {
			out->until_ns = v;
		} else if (field == 7) {
			out->over = v != 0;
		} else if (field == 8) {
			out->from_ns = v;
		}
	}
	return true;
}

Wire__Quota *engine_quota_uses(const struct engine *e, struct arena *a)
{
	Wire__QuotaSet *m = quota_open(e, 0, a);
	Wire__Quota *q = arena_calloc(a, 1, sizeof(*q));

	if (!q || (e->quotas[0] && !m))
		return NULL;
	wire__quota__init(q);
	q->n_shares = m ? m->n_shares : 0;
	q->shares = arena_calloc(a, q->n_shares + 1, sizeof(*q->shares));
	for (size_t i = 0; q->shares && i < q->n_shares; i++) {
		Wire__QuotaShare *s = arena_calloc(a, 1, sizeof(*s));
		struct sched_namespace_view v = {0};
		amounts used, wants, some;

		if (!s)
			return NULL;
		wire__quota_share__init(s);
		s->namespace_ = m->shares[i]->namespace_;
		(void)sched_namespace_named(e->sched, s->namespace_, &v);
		(void)sched_namespace_wants(e->sched, s->namespace_, wants);
		for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
			used[r] = v.used[r] + v.lent[r];
			some[r] = used[r] || wants[r] ? 0 : UINT64_MAX;
		}
		if (!write_needs(e, a, used, some, &s->used, &s->n_used) ||
		        !write_needs(e, a, wants, some, &s->may, &s->n_may))
			return NULL;
		q->shares[i] = s;
	}
	return q->shares ? q : NULL;
}

bool engine_quota_restless(const struct engine *e, uint64_t *out_busy)
{
	struct sched_namespace_view v;
	bool restless = false;

	*out_busy = 0;
	for (uint32_t k = 0; e->quotas[0] && sched_namespace(e->sched, k, &v); k++) {
		bool capped = false, busy;
		amounts wants;

		busy = sched_namespace_wants(e->sched, v.name, wants);
		for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
			capped |= v.cap[r] != UINT64_MAX;
			busy |= v.used[r] + v.lent[r] > 0 && v.cap[r] != UINT64_MAX;
			restless |= v.cap[r] != UINT64_MAX && v.used[r] + v.lent[r] > v.cap[r];
		}
		if (!capped)
			continue;
		restless |= sched_namespace_waits(e->sched, v.name);
		*out_busy = *out_busy * 31 + (busy ? k + 1 : 0);
	}
	return restless;
}

bool engine_quota_limited(const struct engine *e)
{
	struct sched_namespace_view v;

	for (uint32_t k = 0; sched_namespace(e->sched, k, &v); k++)
		for (uint32_t r = 0; r < RESOURCES_MAX && !of_hub(v.name); r++)
			if (v.quota[r] != UINT64_MAX || v.cap[r] != UINT64_MAX)
				return true;
	return false;
}
