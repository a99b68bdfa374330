/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_check - the invariants, a digest of the state, and what of it is kept over a restart.
 *
 * The saved bytes, all numbers little-endian: "OSS1", then records of a kind byte and 64-bit numbers:
 *   'e' epoch of the fair share, turn counter      'n' length (byte) and name, usage
 *   'j' job, last served, turn                      'g' job, step, last served, turn
 *   'l' lease, charge, rate                         'k' key, number of buckets, pairs of (bucket, count)
 *   'f' node, points, pauses, last failing job and task, paused until
 *   'w' node, window of its link, bytes used in it  't' node, number, pairs of (to what, latency)
 *   'h' node, number, blobs that it holds           's' kind, node, factor, samples
 *   'a' job, step, unit, number, nodes that it failed on
 * and 'z' at the end. Kinds, blobs, speeds and failures come oldest first. Of jobs, groups and leases those are skipped on load that the engine
 * did not add again. Pure.
 */
#include "core/sched_state.h"

/* ---- check ---- */

static void check_shapes(const struct sched *s)
{
	uint32_t live = 0, fit_refs[BITS] = {0}, able_refs[BITS] = {0};

	for (uint32_t x = 1; x <= s->shape_top; x++) {
		const struct shape *sh = &s->shapes[x];
		uint32_t fit = 0, able = 0, first = NONE;

		if (sh->refs == 0)
			continue;
		live++;
		for (uint32_t n = 1; n <= s->node_top; n++) {
			bool on = sh->where == 0 || set_meets(&s->sets[sh->where], &s->nodes[n]);
			bool now = on && s->nodes[n].known && shape_in(sh, node_eff(s, n));

			fit += now;
			able += on && s->nodes[n].known && shape_in(sh, node_able(s, n));
			if (now && node_leaf(s, n) < first)
				first = node_leaf(s, n);
		}
		CHECK(fit == sh->n_fit && able == sh->n_able);
		CHECK(fit == 0 ? sh->first == NONE : sh->first <= first);
		fit_refs[x % BITS] += fit > 0;
		able_refs[x % BITS] += able > 0;
	}
	CHECK(live == s->n_shapes);
	for (uint32_t b = 0; b < BITS; b++) {
		struct bits one = {0};

		CHECK(fit_refs[b] == s->fit_refs[b] && able_refs[b] == s->able_refs[b]);
		bits_set(&one, b);
		CHECK(bits_meet(&one, &s->fit) == (fit_refs[b] > 0) &&
		        bits_meet(&one, &s->able) == (able_refs[b] > 0));
	}
}

static void check_node(const struct sched *s, uint32_t node)
{
	const struct node *n = &s->nodes[node];
	int64_t free[VEC] = {0};
	uint32_t used[DEVICES_PER_NODE_MAX] = {0}, leases = 0, prev = 0;
	uint64_t eff[VEC] = {0};

	for (uint32_t l = 0; l < VEC; l++)
		free[l] = (int64_t)n->cap[l];
	for (uint32_t l = s->nodes[node].leases; l != 0; prev = l, l = s->ends[l].next, leases++) {
		const struct lease *p = &s->leases[l];

		CHECK(p->node == node && s->ends[l].id == p->id);
		CHECK(s->ends[l].prev == prev);
		amounts_hold(s, node, free, used, &s->groups[p->group].v[p->variant],
		        s->lease_devs + (size_t)l * DEVICES_PER_LEASE_MAX, p->n_dev, 1);
	}
	CHECK(leases == n->n_leases);
	if (n->known && n->state == WIRE__NODE_SET__STATE__UP)
		amounts_eff(s, node, free, used, eff);
	for (uint32_t l = 0; l < s->n_lanes; l++)
		CHECK(free[l] == n->free[l] && eff[l] == node_eff(s, node)[l]);
	for (uint32_t k = 0; k < n->n_dev; k++)
		CHECK(used[k] == node_used(s, node)[k]);
}

static void check_tree(const struct sched *s, const uint64_t *tree)
{
	for (size_t i = 1; i < s->leaves; i++)
		for (uint32_t l = 0; l < s->n_lanes; l++) {
			uint64_t a = tree_at(s, tree, 2 * i)[l], b = tree_at(s, tree, 2 * i + 1)[l];

			CHECK(tree_at(s, tree, i)[l] == (a > b ? a : b));
		}
}

static void check_jobs(const struct sched *s)
{
	uint32_t jobs = 0, groups = 0, ready = 0, leases = 0;
	uint64_t tasks = 0;

	for (uint32_t x = 1; x <= s->jobs_top; x++) {
		const struct job *j = &s->jobs[x];
		uint32_t in = 0, held = 0;

		if (j->id == 0)
			continue;
		jobs++;
		CHECK(map_get(&s->job_map, j->id) == x);
		for (uint32_t g = j->groups; g != 0; g = s->groups[g].next) {
			const struct group *p = &s->groups[g];

			CHECK(p->job == x && p->in == (p->n_ready > 0));
			CHECK(!p->in || p->k_wait == group_wait(p) + p->slack * SLACK_NS);
			groups++;
			in += p->in;
			ready += p->in;
			tasks += p->n_ready;
			held += p->n_leases;
		}
		CHECK(held == j->n_leases);
		leases += held;
		CHECK(order_check(s, &s->group_order, j->groups_root) == in);
		CHECK(j->in == (in > 0 && job_may(j)));
	}
	CHECK(jobs == s->n_jobs && groups == s->n_groups && leases == s->n_leases);
	CHECK(ready == s->groups_ready && tasks == s->tasks_ready);
}

static void check_ns(const struct sched *s)
{
	uint32_t ordered = order_check(s, &s->job_order, s->rt_root), waiting = 0, in = 0, fair = 0,
	         starve = 0;

	for (uint32_t i = 1; i <= s->n_ns; i++) {
		const struct nspace *n = &s->ns[i];
		uint64_t used[VEC] = {0};

		for (uint32_t l = 1; l <= s->leases_top; l++) {
			const struct group *g = &s->groups[s->leases[l].group];
			const struct variant *v = &g->v[s->leases[l].variant];

			if (s->leases[l].id != 0 && s->jobs[g->job].ns == i)
				for (uint32_t k = 0; k < v->n; k++)
					used[v->lane[k]] += v->amount[k];
		}
		for (uint32_t l = 0; l < VEC; l++)
			CHECK(used[l] == n->used[l]);
		for (uint32_t x = 1; x <= s->shape_top; x++) {
			struct bits one = {0};

			bits_set(&one, x);
			if (s->shapes[x].refs > 0 && ns_permits(n, &s->shapes[x]))
				CHECK(bits_meet(&one, &n->allow));
		}
		CHECK(n->share == n->usage / n->weight);
		ordered += order_check(s, &s->job_order, n->jobs_root);
		waiting += order_check(s, &s->job_starve, n->starve_root);
		fair += n->jobs_root != 0;
		starve += n->starve_root != 0;
		CHECK(n->in_fair == (n->jobs_root != 0) && n->in_starve == (n->starve_root != 0));
	}
	for (uint32_t x = 1; x <= s->jobs_top; x++)
		in += s->jobs[x].in;
	CHECK(ordered == in && waiting == in);
	CHECK(order_check(s, &s->ns_fair, s->fair_root) == fair);
	CHECK(order_check(s, &s->ns_starve, s->starve_root) == starve);
}

void sched_check(const struct sched *s)
{
	check_shapes(s);
	for (uint32_t n = 1; n <= s->node_top; n++)
		check_node(s, n);
	check_tree(s, s->tree);
	check_tree(s, s->able_tree);
	check_jobs(s);
	check_ns(s);
}

/* ---- digest: a sum over things, each folded by its own names ---- */

static uint64_t fold_text(uint64_t h, const char *t)
{
	for (; *t != '\0'; t++)
		h = prng_mix(h, (uint8_t)*t, 3);
	return h;
}

static uint64_t fold_lanes(const struct sched *s, const uint64_t *v, uint64_t skip)
{
	uint64_t sum = 0;

	for (uint32_t l = 1; l < s->n_lanes; l++)
		if (v[l] != skip)
			sum += prng_mix(fold_text(5, s->lane_name[l]), v[l], 1);
	return sum;
}

static uint64_t fold_nodes(const struct sched *s)
{
	uint64_t sum = 0;

	for (uint32_t x = 1; x <= s->node_top; x++) {
		const struct node *n = &s->nodes[x];
		const struct device *d = node_devs(s, x);
		uint64_t h = prng_mix(fold_text(1, n->name), x, (uint64_t)n->state);

		if (!n->known)
			continue;
		h = prng_mix(h, fold_lanes(s, n->cap, 0), fold_lanes(s, (const uint64_t *)n->free, 0));
		for (uint32_t k = 0; k < n->n_dev; k++) {
			h = prng_mix(fold_text(h, s->lane_name[d[k].lane]), d[k].index, d[k].cap);
			h = prng_mix(h, node_used(s, x)[k], 0);
		}
		sum += h;
	}
	return sum;
}

static uint64_t fold_group(const struct sched *s, const struct group *g)
{
	uint64_t h = prng_mix(
	        prng_mix(2, s->jobs[g->job].id, g->step), g->n_ready, g->n_ready > 0 ? g->since_ns : 0);

	h = prng_mix(prng_mix(h, g->last_ns, g->turn), g->slice_max, g->n_leases);
	for (uint32_t v = 0; v < g->n_variants; v++) {
		h = prng_mix(h, g->v[v].kind, v);
		for (uint32_t i = 0; i < g->v[v].n; i++)
			h = prng_mix(fold_text(h, s->lane_name[g->v[v].lane[i]]), g->v[v].amount[i], i);
	}
	return h;
}

static uint64_t fold_jobs(const struct sched *s)
{
	uint64_t sum = 0;

	for (uint32_t x = 1; x <= s->jobs_top; x++) {
		const struct job *j = &s->jobs[x];
		uint64_t h = fold_text(3, s->ns[j->ns].name);

		if (j->id == 0)
			continue;
		h = prng_mix(prng_mix(h, j->id, j->priority), j->concurrency, j->realtime);
		sum += prng_mix(prng_mix(h, j->deadline_ns, j->last_ns), j->turn, j->n_leases);
		for (uint32_t g = j->groups; g != 0; g = s->groups[g].next)
			sum += fold_group(s, &s->groups[g]);
	}
	return sum;
}

static uint64_t fold_leases(const struct sched *s)
{
	uint64_t sum = 0;

	for (uint32_t x = 1; x <= s->leases_top; x++) {
		const struct lease *l = &s->leases[x];
		const struct group *g = &s->groups[l->group];
		uint64_t h = prng_mix(4, l->id, l->node);

		if (l->id == 0)
			continue;
		h = prng_mix(prng_mix(h, s->jobs[g->job].id, g->step), l->variant, l->stopping);
		h = prng_mix(prng_mix(h, l->granted_ns, s->ends[x].end_ns), l->charge, l->rate);
		for (uint32_t i = 0; i < l->n_dev; i++)
			h = prng_mix(h, s->lease_devs[(size_t)x * DEVICES_PER_LEASE_MAX + i], i);
		sum += h;
	}
	return sum;
}

/* What is known of nodes beside what they said. */
static uint64_t fold_facts(const struct sched *s)
{
	uint64_t sum = 0, blob[HELD], at = 0;

	for (uint32_t x = 1; x <= s->node_real; x++) {
		const struct node *n = &s->nodes[x];
		const uint32_t n_held = n->known ? held_list(s, x, blob) : 0;
		uint64_t h = prng_mix(prng_mix(8, x, n->points), n->pauses, n->paused_until_ns);

		h = prng_mix(prng_mix(h, n->bad_job, n->bad_unit), n->link.window, n->link.used);
		for (uint32_t i = 0; i < n->n_latency; i++)
			h = prng_mix(h, n->latency[i].to, n->latency[i].us);
		for (uint32_t i = 0; i < n_held; i++)
			h = prng_mix(h, blob[i], i);
		sum += n->known ? h : 0;
	}
	for (uint32_t x = s->speed_oldest; x != 0; x = s->speeds[x].newer)
		sum += prng_mix(prng_mix(9, s->speeds[x].key, at++), s->speeds[x].factor, s->speeds[x].n);
	for (uint32_t x = s->avoid_oldest; x != 0; x = s->avoids[x].newer) {
		const struct avoid *a = &s->avoids[x];
		uint64_t h = prng_mix(10, a->key, at++);

		for (uint32_t i = 0; i < a->n; i++)
			h = prng_mix(h, a->node[i], i);
		sum += h;
	}
	return sum;
}

uint64_t sched_digest(const struct sched *s)
{
	uint64_t sum = fold_nodes(s) + fold_jobs(s) + fold_leases(s) + fold_facts(s), at = 0;

	for (uint32_t i = 1; i <= s->n_ns; i++) {
		const struct nspace *n = &s->ns[i];
		uint64_t h = prng_mix(fold_text(6, n->name), n->weight, n->usage);

		sum += prng_mix(h, fold_lanes(s, n->quota, UINT64_MAX), fold_lanes(s, n->used, 0));
	}
	for (uint32_t x = s->kind_oldest; x != 0; x = s->kinds[x].newer) {
		uint64_t h = prng_mix(7, s->kinds[x].key, at++);

		for (uint32_t b = 0; b < BUCKETS; b++)
			h = s->kinds[x].count[b] == 0 ? h : prng_mix(h, b, s->kinds[x].count[b]);
		sum += h;
	}
	return prng_mix(sum, s->turn, s->fair_epoch_ns);
}

/* ---- save ---- */

struct saver {
	int (*put)(void *ctx, const void *p, size_t n);
	void *ctx;
	uint8_t b[32 + 8 * 4 + BUCKETS * 16];
	size_t n;
};

static void put_byte(struct saver *w, uint8_t v)
{
	w->b[w->n++] = v;
}

static void put_u64(struct saver *w, uint64_t v)
{
	for (uint32_t i = 0; i < 8; i++)
		put_byte(w, (uint8_t)(v >> 8 * i));
}

static int flush(struct saver *w)
{
	int r = w->put(w->ctx, w->b, w->n);

	w->n = 0;
	return r;
}

static int put_record(struct saver *w, char kind, const uint64_t *v, uint32_t n)
{
	put_byte(w, (uint8_t)kind);
	for (uint32_t i = 0; i < n; i++)
		put_u64(w, v[i]);
	return flush(w);
}

static int save_ns(const struct sched *s, struct saver *w)
{
	for (uint32_t i = 1; i <= s->n_ns; i++) {
		put_byte(w, 'n');
		put_byte(w, (uint8_t)strlen(s->ns[i].name));
		for (const char *c = s->ns[i].name; *c != '\0'; c++)
			put_byte(w, (uint8_t)*c);
		put_u64(w, s->ns[i].usage);
		if (flush(w) < 0)
			return -1;
	}
	return 0;
}

static int save_jobs(const struct sched *s, struct saver *w)
{
	for (uint32_t x = 1; x <= s->jobs_top; x++) {
		const struct job *j = &s->jobs[x];

		if (j->id == 0)
			continue;
		if (put_record(w, 'j', (const uint64_t[]){j->id, j->last_ns, j->turn}, 3) < 0)
			return -1;
		for (uint32_t g = j->groups; g != 0; g = s->groups[g].next) {
			const struct group *p = &s->groups[g];

			if (p->turn != 0 &&
			        put_record(w, 'g', (const uint64_t[]){j->id, p->step, p->last_ns, p->turn},
			                4) < 0)
				return -1;
		}
	}
	for (uint32_t x = 1; x <= s->leases_top; x++) {
		const struct lease *l = &s->leases[x];

		if (l->id != 0 && put_record(w, 'l', (const uint64_t[]){l->id, l->charge, l->rate}, 3) < 0)
			return -1;
	}
	return 0;
}

static int save_kinds(const struct sched *s, struct saver *w)
{
	for (uint32_t x = s->kind_oldest; x != 0; x = s->kinds[x].newer) {
		const struct kind *k = &s->kinds[x];
		uint64_t n = 0;

		for (uint32_t b = 0; b < BUCKETS; b++)
			n += k->count[b] != 0;
		put_byte(w, 'k');
		put_u64(w, k->key);
		put_u64(w, n);
		for (uint32_t b = 0; b < BUCKETS; b++)
			if (k->count[b] != 0) {
				put_u64(w, b);
				put_u64(w, k->count[b]);
			}
		if (flush(w) < 0)
			return -1;
	}
	return 0;
}

static int save_node(const struct sched *s, struct saver *w, uint32_t x)
{
	const struct node *n = &s->nodes[x];
	const uint64_t f[] = {x, n->points, n->pauses, n->bad_job, n->bad_unit, n->paused_until_ns};
	uint64_t blob[HELD];
	const uint32_t n_held = held_list(s, x, blob);

	if ((n->points | n->pauses | n->bad_unit | n->paused_until_ns) != 0 && put_record(w, 'f', f, 6) < 0)
		return -1;
	if (n->link.bytes != 0 &&
	        put_record(w, 'w', (const uint64_t[]){x, n->link.window, n->link.used}, 3) < 0)
		return -1;
	if (n->n_latency > 0) {
		put_byte(w, 't');
		put_u64(w, x);
		put_u64(w, n->n_latency);
		for (uint32_t i = 0; i < n->n_latency; i++) {
			put_u64(w, n->latency[i].to);
			put_u64(w, n->latency[i].us);
		}
		if (flush(w) < 0)
			return -1;
	}
	if (n_held == 0)
		return 0;
	put_byte(w, 'h');
	put_u64(w, x);
	put_u64(w, n_held);
	for (uint32_t i = 0; i < n_held; i++)
		put_u64(w, blob[i]);
	return flush(w);
}

static int save_facts(const struct sched *s, struct saver *w)
{
	for (uint32_t x = 1; x <= s->node_real; x++)
		if (s->nodes[x].known && save_node(s, w, x) < 0)
			return -1;
	for (uint32_t x = s->speed_oldest; x != 0; x = s->speeds[x].newer) {
		const struct speed *k = &s->speeds[x];

		if (put_record(w, 's', (const uint64_t[]){k->kind, k->node, k->factor, k->n}, 4) < 0)
			return -1;
	}
	for (uint32_t x = s->avoid_oldest; x != 0; x = s->avoids[x].newer) {
		const struct avoid *a = &s->avoids[x];
		const struct group *g = &s->groups[a->group];

		put_byte(w, 'a');
		put_u64(w, s->jobs[g->job].id);
		put_u64(w, g->step);
		put_u64(w, a->unit);
		put_u64(w, a->n);
		for (uint32_t i = 0; i < a->n; i++)
			put_u64(w, a->node[i]);
		if (flush(w) < 0)
			return -1;
	}
	return 0;
}

int sched_save(const struct sched *s, int (*put)(void *ctx, const void *p, size_t n), void *ctx)
{
	struct saver w = {.put = put, .ctx = ctx};

	memcpy(w.b, "OSS1", 4);
	w.n = 4;
	if (flush(&w) < 0 || put_record(&w, 'e', (const uint64_t[]){s->fair_epoch_ns, s->turn}, 2) < 0)
		return -1;
	if (save_ns(s, &w) < 0 || save_jobs(s, &w) < 0 || save_kinds(s, &w) < 0 || save_facts(s, &w) < 0)
		return -1;
	return put_record(&w, 'z', NULL, 0);
}

/* ---- load ---- */

struct loader {
	const uint8_t *p, *end;
	bool bad;
};

static uint8_t get_byte(struct loader *r)
{
	if (r->p == r->end) {
		r->bad = true;
		return 0;
	}
	return *r->p++;
}

static uint64_t get_u64(struct loader *r)
{
	uint64_t v = 0;

	for (uint32_t i = 0; i < 8; i++)
		v |= (uint64_t)get_byte(r) << 8 * i;
	return v;
}

static void load_ns(struct sched *s, struct loader *r)
{
	char name[NS_BYTES] = {0};
	uint32_t n = get_byte(r), x;
	uint64_t usage;

	r->bad = r->bad || n >= NS_BYTES;
	for (uint32_t i = 0; i < n && !r->bad; i++)
		name[i] = (char)get_byte(r);
	usage = get_u64(r);
	if (r->bad || strlen(name) != n || n == 0) {
		r->bad = true;
		return;
	}
	x = ns_make(s, name);
	if (x == 0) {
		r->bad = true;
		return;
	}
	ns_out(s, x);
	s->ns[x].usage = usage;
	s->ns[x].share = usage / s->ns[x].weight;
	ns_in(s, x);
}

static void load_job(struct sched *s, struct loader *r)
{
	uint32_t x = map_get(&s->job_map, get_u64(r));
	uint64_t last = get_u64(r), turn = get_u64(r);

	if (x == 0 || r->bad)
		return;
	job_out(s, x);
	s->jobs[x].last_ns = last;
	s->jobs[x].turn = turn;
	job_in(s, x);
}

static void load_group(struct sched *s, struct loader *r)
{
	uint32_t x = map_get(&s->job_map, get_u64(r)), g;
	uint64_t step = get_u64(r), last = get_u64(r), turn = get_u64(r);

	if (x == 0 || r->bad)
		return;
	for (g = s->jobs[x].groups; g != 0 && s->groups[g].step != step;)
		g = s->groups[g].next;
	if (g == 0)
		return;
	job_out(s, x);
	group_out(s, g);
	s->groups[g].last_ns = last;
	s->groups[g].turn = turn;
	group_in(s, g);
	job_in(s, x);
}

static void load_lease(struct sched *s, struct loader *r)
{
	uint32_t x = map_get(&s->lease_map, get_u64(r));
	uint64_t charge = get_u64(r), rate = get_u64(r);

	if (x == 0 || r->bad)
		return;
	s->leases[x].charge = charge;
	s->leases[x].rate = rate;
}

static void load_kind(struct sched *s, struct loader *r)
{
	uint64_t key = get_u64(r), n = get_u64(r);
	uint32_t x = 0;

	if (key == 0 || n > BUCKETS || r->bad)
		r->bad = true;
	else
		x = kind_touch(s, key);
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		uint64_t b = get_u64(r), count = get_u64(r);

		r->bad = r->bad || b >= BUCKETS || count > UINT16_MAX * 4ull;
		if (r->bad || x == 0)
			continue;
		s->kinds[x].total += (uint32_t)count - s->kinds[x].count[b];
		s->kinds[x].count[b] = (uint32_t)count;
	}
}

/* A node that the engine has added; 0 and bad: not one. */
static uint32_t get_node(const struct sched *s, struct loader *r)
{
	uint64_t x = get_u64(r);

	r->bad = r->bad || x == 0 || x > s->node_real || !s->nodes[x].known;
	return r->bad ? 0 : (uint32_t)x;
}

static void load_trouble(struct sched *s, struct loader *r)
{
	uint32_t x = get_node(s, r);
	struct trouble t;

	t.points = get_u64(r);
	t.pauses = get_u64(r);
	t.bad_job = get_u64(r);
	t.bad_unit = get_u64(r);
	t.paused_until_ns = get_u64(r);
	if (!r->bad)
		trouble_load(s, x, &t);
}

static void load_link(struct sched *s, struct loader *r)
{
	uint32_t x = get_node(s, r);
	uint64_t window = get_u64(r), used = get_u64(r);

	if (r->bad)
		return;
	s->nodes[x].link.window = window;
	s->nodes[x].link.used = used;
}

static void load_latency(struct sched *s, struct loader *r)
{
	uint32_t x = get_node(s, r);
	uint64_t n = get_u64(r);

	r->bad = r->bad || n > LATENCIES;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		uint64_t to = get_u64(r), us = get_u64(r);

		s->nodes[x].latency[i] = (struct latency){to, us};
		s->nodes[x].n_latency = (uint32_t)i + 1;
	}
}

static void load_held(struct sched *s, struct loader *r)
{
	uint32_t x = get_node(s, r);
	uint64_t n = get_u64(r);

	r->bad = r->bad || n > HELD;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		uint64_t blob = get_u64(r);

		r->bad = r->bad || blob == 0;
		if (!r->bad)
			held_add(s, x, blob);
	}
}

static void load_speed(struct sched *s, struct loader *r)
{
	uint64_t kind = get_u64(r);
	uint32_t x = get_node(s, r);
	uint64_t factor = get_u64(r), n = get_u64(r);

	r->bad = r->bad || factor == 0 || factor > 16 * SPEED_ONE || n > UINT16_MAX;
	if (!r->bad)
		speed_put(s, kind, x, (uint32_t)factor, (uint32_t)n);
}

static void load_avoid(struct sched *s, struct loader *r)
{
	uint32_t x = map_get(&s->job_map, get_u64(r)), g;
	uint64_t step = get_u64(r), unit = get_u64(r), n = get_u64(r);

	r->bad = r->bad || n > ARRAY_LEN(s->avoids->node);
	for (g = x == 0 ? 0 : s->jobs[x].groups; g != 0 && s->groups[g].step != step;)
		g = s->groups[g].next;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		uint64_t node = get_u64(r);

		r->bad = r->bad || node > s->lim.nodes_max;
		if (!r->bad && g != 0)
			avoid_node(s, g, unit, (uint32_t)node);
	}
}

int sched_load(struct sched *s, const uint8_t *bytes, size_t n)
{
	struct loader r = {0};

	if (n < 5 || memcmp(bytes, "OSS1", 4) != 0)
		return -1;
	r.p = bytes + 4;
	r.end = bytes + n;
	for (uint32_t x = 1; x <= s->node_real; x++) /* adding the leases again noted their inputs */
		held_clear(s, x);
	while (!r.bad) {
		switch (get_byte(&r)) {
		case 'e':
			s->fair_epoch_ns = get_u64(&r);
			s->turn = get_u64(&r);
			break;
		case 'n':
			load_ns(s, &r);
			break;
		case 'j':
			load_job(s, &r);
			break;
		case 'g':
			load_group(s, &r);
			break;
		case 'l':
			load_lease(s, &r);
			break;
		case 'k':
			load_kind(s, &r);
			break;
		case 'f':
			load_trouble(s, &r);
			break;
		case 'w':
			load_link(s, &r);
			break;
		case 't':
			load_latency(s, &r);
			break;
		case 'h':
			load_held(s, &r);
			break;
		case 's':
			load_speed(s, &r);
			break;
		case 'a':
			load_avoid(s, &r);
			break;
		case 'z':
			return r.p == r.end && !r.bad ? 0 : -1;
		default: /* not an enum: a byte from a file */
			return -1;
		}
	}
	return -1;
}
