/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobspec_place - where tasks may and should run: the keys `where`, `prefer`, `spread`, `near`, `data` of a step and `pack` of a job. See
 * jobspec_read.h; what they mean is in sched_place.c. Pure.
 *
 * A condition is a map of labels: `hall: north`, `arch: [amd64, arm64]`, `ssd: {exists: true}`, `not: {site: east}`.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"
#include "core/place.h"

#define WEIGHT 50

/* The step's own: what the top of the file says is not changed by a step. */
static Wire__Place *place_of(struct build *b, struct step_src *s)
{
	Wire__Place *p = s->place;

	if (p)
		return p;
	p = spec_take(b, 1, sizeof(*p));
	if (!p)
		return NULL;
	if (s->step->place)
		*p = *s->step->place;
	else
		wire__place__init(p);
	s->place = s->step->place = p;
	return p;
}

/* ---- conditions on labels ---- */

struct conditions {
	Wire__Match **m;
	size_t n, values;
};

static bool match_value(struct build *b, const struct doc *v, struct conditions *c, Wire__Match *m)
{
	const char *s;

	if (v->kind != DOC_SCALAR) {
		spec_problem_value(b, v, "a label's value, or a list of values");
		return false;
	}
	if (!spec_read_text(b, v, VALUE_BYTES_MAX, &s))
		return false;
	if (c->values++ == PLACE_VALUES_MAX) {
		spec_problem_value(b, v, "at most %u values in one condition", PLACE_VALUES_MAX);
		return false;
	}
	m->values[m->n_values++] = (char *)s;
	return true;
}

static void match_values(struct build *b, const struct doc *v, struct conditions *c, Wire__Match *m)
{
	size_t n = v->kind == DOC_LIST ? spec_doc_count(v) : 1;

	if (n == 0) {
		spec_problem(b, v, "an empty list", "at least one value");
		return;
	}
	if (n > PLACE_VALUES_MAX) {
		spec_problem_value(b, v, "at most %u values in one condition", PLACE_VALUES_MAX);
		return;
	}
	m->values = spec_take(b, n, sizeof(char *));
	if (!m->values)
		return;
	if (v->kind != DOC_LIST) {
		(void)match_value(b, v, c, m);
		return;
	}
	for (const struct doc *e = v->child; e && match_value(b, e, c, m);)
		e = e->next;
}

static void match_exists(struct build *b, const struct doc *v, Wire__Match *m)
{
	const struct doc *e = v->child;
	bool on = true;

	if (spec_doc_count(v) != 1 || strcmp(e->key, "exists") != 0) {
		spec_problem_value(b, v, "a value, a list of values, or {exists: true}");
		return;
	}
	(void)spec_read_bool(b, e, &on);
	m->op = on ? WIRE__MATCH__OP__EXISTS : WIRE__MATCH__OP__ABSENT;
}

/* One label of a condition. `negated`: it stands under `not`. */
static void match_read(struct build *b, const struct doc *v, struct conditions *c, bool negated)
{
	Wire__Match *m;

	if (c->n == PLACE_MATCHES_MAX) {
		spec_problem_key(b, v, "at most %u labels in one condition", PLACE_MATCHES_MAX);
		return;
	}
	m = spec_take(b, 1, sizeof(*m));
	if (!m)
		return;
	wire__match__init(m);
	m->key = (char *)v->key;
	c->m[c->n++] = m;
	if (!spec_label_key_ok(v->key)) {
		spec_problem_key(b, v,
		        "a label's key: a letter, then letters, digits, '.', '_', '-' or '/', at most %d",
		        NAME_BYTES_MAX);
	} else if (v->kind == DOC_MAP && negated) {
		spec_problem_value(b, v,
		        "a value or a list of values; '%s: {exists: false}' stands beside 'not'", v->key);
	} else if (v->kind == DOC_MAP) {
		match_exists(b, v, m);
	} else {
		m->op = negated ? WIRE__MATCH__OP__NOT_IN : WIRE__MATCH__OP__IN;
		match_values(b, v, c, m);
	}
}

static bool conditions_read(struct build *b, const struct doc *v, struct conditions *c)
{
	*c = (struct conditions){.m = spec_take(b, PLACE_MATCHES_MAX, sizeof(*c->m))};
	if (v->kind != DOC_MAP || v->child == NULL) {
		spec_problem_value(b, v, "a map of labels such as {hall: north, arch: [amd64, arm64]}");
		return false;
	}
	for (const struct doc *e = v->child; e && !b->full; e = e->next) {
		if (strcmp(e->key, "not") != 0) {
			match_read(b, e, c, false);
			continue;
		}
		if (e->kind != DOC_MAP || e->child == NULL)
			spec_problem_value(b, e, "a map of labels and the values that they must not have");
		for (const struct doc *k = e->kind == DOC_MAP ? e->child : NULL; k && !b->full; k = k->next)
			match_read(b, k, c, true);
	}
	return !b->full;
}

void spec_step_where(struct build *b, const struct doc *v, void *obj)
{
	Wire__Place *p = place_of(b, obj);
	struct conditions c;

	if (!p || !conditions_read(b, v, &c))
		return;
	p->where = c.m;
	p->n_where = c.n;
}

/* ---- preferences ---- */

static void prefer_where(struct build *b, const struct doc *v, void *obj)
{
	Wire__Prefer *p = obj;
	struct conditions c;

	if (!conditions_read(b, v, &c))
		return;
	p->all = c.m;
	p->n_all = c.n;
}

static void prefer_weight(struct build *b, const struct doc *v, void *obj)
{
	const char *s = NULL;
	int64_t n;

	if (v->kind != DOC_SCALAR || !spec_read_text(b, v, VALUE_BYTES_MAX, &s) ||
	        !spec_parse_i64(s, strlen(s), &n) || n == 0 || n > PLACE_WEIGHT_MAX || n < -PLACE_WEIGHT_MAX)
		spec_problem_value(
		        b, v, "a whole number from %d to %d, but not 0", -PLACE_WEIGHT_MAX, PLACE_WEIGHT_MAX);
	else
		((Wire__Prefer *)obj)->weight = (int32_t)n;
}

static const struct key prefer_keys[] = {
        {"where", "map of labels", "required", prefer_where},
        {"weight", "-100 to 100", "50", prefer_weight},
};
const struct table spec_prefer_table = {"prefer", "", prefer_keys, ARRAY_LEN(prefer_keys)};

static Wire__Prefer *prefer_new(struct build *b, Wire__Place *p)
{
	Wire__Prefer *one = spec_take(b, 1, sizeof(*one));

	if (!one)
		return NULL;
	wire__prefer__init(one);
	one->weight = WEIGHT;
	p->prefer[p->n_prefer++] = one;
	return one;
}

void spec_step_prefer(struct build *b, const struct doc *v, void *obj)
{
	Wire__Place *p = place_of(b, obj);
	size_t n = v->kind == DOC_LIST ? spec_doc_count(v) : 1;

	if (!p)
		return;
	if (n == 0 || n > PLACE_PREFERS_MAX || v->kind == DOC_SCALAR) {
		spec_problem_value(b, v,
		        "a map of labels, or a list of 1 to %u maps {where: ..., weight: ...}",
		        PLACE_PREFERS_MAX);
		return;
	}
	p->prefer = spec_take(b, n, sizeof(*p->prefer));
	p->n_prefer = 0;
	if (p->prefer && v->kind == DOC_MAP) {
		Wire__Prefer *one = prefer_new(b, p);

		if (one)
			prefer_where(b, v, one);
		return;
	}
	for (const struct doc *e = v->child; e && !b->full; e = e->next) {
		Wire__Prefer *one = prefer_new(b, p);

		if (!one)
			return;
		spec_read_map(b, e, &spec_prefer_table, one, NULL, NULL);
		if (e->kind == DOC_MAP && !spec_doc_get(e, "where"))
			spec_problem(b, e, "a preference without 'where'", "the labels that are preferred");
	}
}

/* ---- the rest ---- */

void spec_step_spread(struct build *b, const struct doc *v, void *obj)
{
	Wire__Place *p = place_of(b, obj);
	const char *s;

	if (!p || !spec_read_text(b, v, VALUE_BYTES_MAX, &s))
		return;
	if (!spec_label_key_ok(s))
		spec_problem_value(b, v, "'node', or the key of a label such as 'hall'");
	else
		p->spread = (char *)(strcmp(s, "node") == 0 ? "name" : s);
}

void spec_step_near(struct build *b, const struct doc *v, void *obj)
{
	Wire__Place *p = place_of(b, obj);
	Wire__Match *m = spec_take(b, 1, sizeof(*m));
	struct conditions c;
	const char *s;

	if (!p || !m)
		return;
	p->near_submitter = false;
	p->near = NULL;
	if (v->kind == DOC_MAP) {
		if (!conditions_read(b, v, &c))
			return;
		if (c.n != 1 || c.m[0]->op != WIRE__MATCH__OP__IN)
			spec_problem_value(
			        b, v, "one label of the nodes to be near, such as {source: climate}");
		else
			p->near = c.m[0];
		return;
	}
	if (!spec_read_text(b, v, NAME_BYTES_MAX, &s))
		return;
	if (strcmp(s, "submitter") == 0) {
		p->near_submitter = true;
		return;
	}
	wire__match__init(m);
	m->key = (char *)"name";
	m->values = spec_take(b, 1, sizeof(char *));
	if (!m->values)
		return;
	m->values[m->n_values++] = (char *)s;
	p->near = m;
}

void spec_step_data(struct build *b, const struct doc *v, void *obj)
{
	Wire__Place *p = place_of(b, obj);
	bool on;

	if (p && spec_read_bool(b, v, &on))
		p->any_data = !on;
}

void spec_job_pack(struct build *b, const struct doc *v, void *obj)
{
	size_t i;

	if (spec_read_choice(b, v, spec_pack_words, SPEC_PACK_WORDS, &i))
		((Wire__JobSpec *)obj)->pack = (Wire__JobSpec__Pack)(i + 1);
}

const char *const spec_pack_words[SPEC_PACK_WORDS] = {"binpack", "spread", "balance"};

/* ---- what the core is given ---- */

static bool matches_ok(Wire__Match *const *m, size_t n)
{
	size_t values = 0;

	for (size_t i = 0; i < n && n <= PLACE_MATCHES_MAX; i++) {
		const bool listed = m[i]->op == WIRE__MATCH__OP__IN || m[i]->op == WIRE__MATCH__OP__NOT_IN;

		if (!spec_label_key_ok(m[i]->key) || (unsigned)m[i]->op > WIRE__MATCH__OP__ABSENT ||
		        listed != (m[i]->n_values > 0))
			return false;
		values += m[i]->n_values;
		for (size_t k = 0; k < m[i]->n_values; k++)
			if (strlen(m[i]->values[k]) > VALUE_BYTES_MAX)
				return false;
	}
	return n <= PLACE_MATCHES_MAX && values <= PLACE_VALUES_MAX;
}

bool spec_place_ok(const Wire__Place *p)
{
	if (p->n_prefer > PLACE_PREFERS_MAX || !matches_ok(p->where, p->n_where) ||
	        (p->near && (p->near_submitter || !matches_ok(&p->near, 1))) ||
	        (p->spread[0] && !spec_label_key_ok(p->spread)))
		return false;
	for (size_t i = 0; i < p->n_prefer; i++)
		if (p->prefer[i]->n_all == 0 || !matches_ok(p->prefer[i]->all, p->prefer[i]->n_all) ||
		        p->prefer[i]->weight > PLACE_WEIGHT_MAX || p->prefer[i]->weight < -PLACE_WEIGHT_MAX)
			return false;
	return true;
}
