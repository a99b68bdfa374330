/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_places - for each node in a line, why tasks of a step do not run there, or that they could: for `why` and `plan`.
 */
#include <stdio.h>
#include <string.h>

#include "engine/api_places.h"

#define LINES_MAX 100u /* nodes in one answer; the nearest to taking it come first */

static void add(char *out, size_t room, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add(char *out, size_t room, const char *fmt, ...)
{
	size_t n = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(out + n, room - n, fmt, ap);
	va_end(ap);
}

/* A node's label as it counts: its owner's word before its own. */
static const char *label_of(const Wire__NodeSet *m, const char *key)
{
	const char *v = NULL;

	if (strcmp(key, "name") == 0)
		return m->name;
	for (size_t i = 0; i < m->n_labels; i++)
		if (strcmp(m->labels[i]->key, key) == 0)
			v = m->labels[i]->value;
	for (size_t i = 0; i < m->n_admin_labels; i++)
		if (strcmp(m->admin_labels[i]->key, key) == 0)
			v = m->admin_labels[i]->value;
	return v;
}

static void say_match(const Wire__NodeSet *m, const Wire__Match *t, char *out, size_t room)
{
	const char *has = label_of(m, t->key);

	if (t->op == WIRE__MATCH__OP__EXISTS) {
		add(out, room, "has no label '%.63s'", t->key);
		return;
	}
	if (t->op == WIRE__MATCH__OP__ABSENT || t->op == WIRE__MATCH__OP__NOT_IN) {
		add(out, room, "'where' excludes it: %.63s=%.80s", t->key, has ? has : "");
		return;
	}
	add(out, room, "'where' is not met: %.63s must be ", t->key);
	for (size_t i = 0; i < t->n_values && i < 4; i++)
		add(out, room, "%s%.80s", i == 0 ? "" : i + 1 == t->n_values ? " or " : ", ", t->values[i]);
	if (t->n_values > 4)
		add(out, room, " or one of %zu more", t->n_values - 4);
	if (has)
		add(out, room, ", and is %.80s", has);
	else
		add(out, room, ", and it has no such label");
}

static const char *state_words(Wire__NodeSet__State s)
{
	switch (s) {
	case WIRE__NODE_SET__STATE__UP:
		return "is up";
	case WIRE__NODE_SET__STATE__DRAINED:
		return "is drained";
	case WIRE__NODE_SET__STATE__LOST:
		return "is lost";
	case WIRE__NODE_SET__STATE__CORDONED:
		return "is cordoned";
	case WIRE__NODE_SET__STATE__DISCONNECTED:
		return "cannot be reached";
	case _WIRE__NODE_SET__STATE_IS_INT_SIZE:
		break;
	}
	return "is in an unknown state";
}

void places_class_text(const Wire__NodeSet *m, uint32_t k, char *out, size_t room)
{
	const Wire__NodeClass *c = m->classes[k - 1];
	uint32_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < c->n_labels; i++) {
		const char *own = label_of(m, c->labels[i]->key);

		if (own && strcmp(own, c->labels[i]->value) == 0)
			continue;
		if (n++ < 4)
			add(out, room, "%s%.63s=%.80s", n > 1 ? ", " : "", c->labels[i]->key,
			        c->labels[i]->value);
	}
	if (n > 4)
		add(out, room, " and %u labels more", n - 4);
	if (n == 0)
		add(out, room, "fewer labels");
}

/* "; below it: arch=arm64 with 4 cpu" */
static void say_below(const struct sched *s, uint32_t node, const Wire__NodeSet *m, char *out, size_t room)
{
	struct sched_node_view v;
	char text[200], amount[40];

	for (uint32_t k = 1; k <= m->n_classes && k <= 3 && sched_class(s, node, k, &v); k++) {
		places_class_text(m, k, text, sizeof(text));
		api_amount_text("cpu", v.capacity[0], amount, sizeof(amount));
		add(out, room, "%s%s with %s cpu", k == 1 ? "; below it: " : "; ", text, amount);
	}
	if (m->n_classes > 3)
		add(out, room, "; and %zu more", m->n_classes - 3);
}

static void say_amounts(const struct sched *s, const struct sched_node_why *w, char *out, size_t room)
{
	const char *name = sched_resource_name(s, w->resource);
	char needs[40], has[40];

	if (!name) {
		add(out, room, "has not what is asked for");
		return;
	}
	api_amount_text(name, w->needs, needs, sizeof(needs));
	api_amount_text(name, w->free, has, sizeof(has));
	add(out, room, "has %s of %s%s; %s is asked for", has, name,
	        w->reason == NODE_BUSY ? " free" : " in all", needs);
}

static void say_link(const struct sched_node_why *w, uint64_t now, char *out, size_t room)
{
	char missing[40], left[40], in[40];

	api_amount_text("memory", w->missing, missing, sizeof(missing));
	api_amount_text("memory", w->left, left, sizeof(left));
	api_duration_text(w->until_ns > now ? w->until_ns - now : 0, in, sizeof(in));
	add(out, room, "%s of its inputs are elsewhere, and %s may come over its link for the next %s",
	        missing, w->left ? left : "nothing", in);
}

/* How far it is from what the step is to be near. */
static void say_near(const struct sched *s, const struct sched_node_why *w, char *out, size_t room)
{
	struct sched_node_view to = {.name = "?"};
	char d[40];

	if (w->near == NEAR_NOT_ASKED || !sched_node(s, w->near_node, &to))
		return;
	api_duration_text(w->near_us * 1000, d, sizeof(d));
	if (w->near == NEAR_UNKNOWN)
		add(out, room, "; how far it is from %s is not known", to.name);
	else if (w->near == NEAR_SITE)
		add(out, room, "; of one site with %s", to.name);
	else if (w->near == NEAR_MEASURED)
		add(out, room, "; up to %s from %s", d, to.name);
	else if (w->near == NEAR_BY_HUB)
		add(out, room, "; up to %s from %s by way of the hub, not measured between them", d, to.name);
}

void places_text(const struct engine *en, uint32_t node, const Wire__NodeSet *m, const Wire__Place *p,
        const struct sched_node_why *w, uint64_t now, char *out, size_t room)
{
	const struct sched *s = engine_sched(en);
	struct sched_node_view v;
	char d[40], below[200];

	out[0] = '\0';
	if (w->class_ && w->class_ <= m->n_classes) {
		places_class_text(m, w->class_, below, sizeof(below));
		add(out, room, "below it (%s): ", below);
	}
	switch (w->reason) {
	case NODE_STATE:
		add(out, room, "%s", sched_node(s, node, &v) ? state_words(v.state) : "is gone");
		break;
	case NODE_WHERE:
		say_match(m, p->where[w->match], out, room);
		say_below(s, node, m, out, room);
		break;
	case NODE_TOO_SMALL:
	case NODE_BUSY:
		say_amounts(s, w, out, room);
		break;
	case NODE_PAUSED:
		api_duration_text(w->until_ns > now ? w->until_ns - now : 0, d, sizeof(d));
		add(out, room, "pauses for %s: task after task failed on it", d);
		break;
	case NODE_LINK:
		say_link(w, now, out, room);
		break;
	case NODE_FAILED:
		add(out, room, "what waits failed on it, and could run elsewhere");
		break;
	case NODE_TAKES:
		add(out, room, "has room");
		if (w->scored)
			add(out, room, ", with a score of %s%lld.%lld", w->score < 0 ? "-" : "",
			        (long long)(w->score < 0 ? -w->score : w->score) / 1000,
			        (long long)(w->score < 0 ? -w->score : w->score) % 1000 / 100);
		if (w->missing > 0) {
			api_amount_text("memory", w->missing, d, sizeof(d));
			add(out, room, "; %s of inputs are to be brought there", d);
		}
		say_near(s, w, out, room);
		break;
	}
}

static const char *const reasons[] = {[NODE_STATE] = "state",
        [NODE_WHERE] = "where",
        [NODE_TOO_SMALL] = "too_small",
        [NODE_PAUSED] = "paused",
        [NODE_BUSY] = "busy",
        [NODE_LINK] = "link",
        [NODE_FAILED] = "failed_there",
        [NODE_TAKES] = "takes"};

/* Of a step that was not submitted: bytes of its files that would have to come to the node. */
static uint64_t to_bring(const struct sched *s, const Wire__Step *st, uint32_t node)
{
	const Wire__Input *in = st->stdin_file;
	uint64_t sum = 0;

	if (in && in->blob.len == 32 && !sched_holds(s, node, sched_blob(in->blob.data)))
		sum += in->size_bytes;
	for (size_t i = 0; i < st->n_inputs; i++) {
		in = st->inputs[i];
		if (in->blob.len == 32 && !sched_holds(s, node, sched_blob(in->blob.data)))
			sum += in->size_bytes;
	}
	return sum;
}

static bool ask(const struct engine *en, const struct places *p, uint32_t node, struct sched_node_why *w)
{
	const struct sched *s = engine_sched(en);
	const Wire__Step *st = p->step;

	if (p->group)
		return sched_node_why(s, p->group, node, p->now, w);
	if (!sched_place_why(s, st->place, (const Wire__Variant *const *)st->variants, st->n_variants, node,
	            p->now, w))
		return false;
	w->missing = to_bring(s, st, node);
	return true;
}

static void line_json(struct json_out *o, const struct engine *en, const struct places *p, uint32_t node,
        const struct sched_node_why *w)
{
	const uint8_t *bytes;
	Wire__NodeSet *m;
	char text[1200];
	size_t n;

	if (!engine_node(en, node, &bytes, &n) || !(m = wire__node_set__unpack(NULL, n, bytes)))
		return;
	places_text(en, node, m, p->step->place, w, p->now, text, sizeof(text));
	jo_object(o);
	jo_key(o, "node");
	jo_str(o, m->name);
	jo_key(o, "reason");
	jo_str(o, reasons[w->reason]);
	jo_key(o, "text");
	jo_str(o, text);
	jo_key(o, "score");
	if (w->scored)
		jo_fixed(o, w->score, 3);
	else
		jo_null(o);
	jo_object_end(o);
	wire__node_set__free_unpacked(m, NULL);
}

void places_json(struct json_out *o, const struct engine *en, const struct places *p)
{
	const struct sched *s = engine_sched(en);
	uint32_t n = 0;

	jo_key(o, "nodes");
	jo_array(o);
	for (int reason = NODE_TAKES; p->step && reason >= NODE_STATE && n < LINES_MAX; reason--) {
		struct sched_node_view v = {.node = 0};

		while (n < LINES_MAX && sched_node_next(s, v.node, &v)) {
			struct sched_node_why w;

			if (!ask(en, p, v.node, &w) || (int)w.reason != reason)
				continue;
			line_json(o, en, p, v.node, &w);
			n++;
		}
	}
	jo_array_end(o);
}

bool places_change(const struct engine *en, const struct places *p, char *out, size_t room)
{
	const struct sched *s = engine_sched(en);
	struct sched_node_view v = {.node = 0};

	out[0] = '\0';
	while (p->step->place && sched_node_next(s, v.node, &v)) {
		Wire__Match *const *m = p->step->place->where;
		Wire__Place without = *p->step->place;
		Wire__Match *rest[16];
		struct sched_node_why w;

		if (!ask(en, p, v.node, &w) || w.reason != NODE_WHERE || without.n_where > 16 ||
		        m[w.match]->op != WIRE__MATCH__OP__IN || strcmp(m[w.match]->key, "name") == 0)
			continue;
		without.n_where = 0;
		for (size_t i = 0; i < p->step->place->n_where; i++)
			if (i != w.match)
				rest[without.n_where++] = m[i];
		without.where = rest;
		if (!sched_place_why(s, &without, (const Wire__Variant *const *)p->step->variants,
		            p->step->n_variants, v.node, p->now, &w) ||
		        w.reason != NODE_TAKES)
			continue;
		(void)ask(en, p, v.node, &w);
		(void)snprintf(out, room, "osier node label %s %.63s=%.80s", v.name, m[w.match]->key,
		        m[w.match]->values[0]);
		return true;
	}
	return false;
}
