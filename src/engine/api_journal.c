/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_journal - the head of the journal, its entries as JSON, and the grant of a lease.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "io/growing.h"
#include "wire/entry.h"

#define GRANT_READS_MAX   4096u
#define ENTRIES_BYTES_MAX (8u << 20) /* of one page */

void h_head(struct request *q)
{
	struct journal *j = node_journal(q->api->node);
	struct json_out *o = answer_out(q);
	struct journal_head head;

	journal_head(j, &head);
	jo_object(o);
	jo_key(o, "size");
	jo_u64(o, head.size);
	jo_key(o, "root");
	jo_hex(o, head.root, 32);
	jo_key(o, "durable");
	jo_u64(o, journal_durable(j));
	jo_object_end(o);
	answer_json(q, 200);
}

/* `from` may count from the end; < 0: answered. */
static int parse_from(struct request *q, uint64_t size, uint64_t *out)
{
	const char *text = query_text(q, "from");
	int64_t from = 0;

	if (text && path_signed(text, &from) < 0) {
		answer_errf(q, 400, "invalid", NULL, "'from' is '%.40s': it must be a number", text);
		return -1;
	}
	if (from < 0)
		from = (uint64_t)-from > size ? 0 : (int64_t)size + from;
	*out = (uint64_t)from;
	return 0;
}

void h_entries(struct request *q)
{
	struct journal_reader *r = node_reader(q->api->node);
	uint64_t size = journal_durable(node_journal(q->api->node)), seq = 0, limit = API_PAGE, n = 0;
	struct json_out *o = answer_out(q);
	struct growing g;
	struct err e = {0};

	if (parse_from(q, size, &seq) < 0 || query_u64(q, "limit", 1, API_PAGE_MAX, &limit) < 0)
		return;
	growing_init(&g, 256u << 10, 4 * ENTRY_BYTES_MAX);
	jo_object(o);
	jo_key(o, "entries");
	jo_array(o);
	for (; seq < size && n < limit && o->n < ENTRIES_BYTES_MAX; seq++, n++) {
		const uint8_t *bytes;
		size_t bytes_n;
		uint8_t leaf[32];
		const Wire__Entry *en;

		growing_clear(&g);
		if (journal_read_entry(r, seq, &bytes, &bytes_n, leaf, &e) < 0 ||
		        entry_decode(&g.arena, bytes, bytes_n, &en, &e) < 0)
			break;
		entry_json(o, seq, leaf, en);
	}
	jo_array_end(o);
	jo_key(o, "next");
	if (seq < size)
		jo_u64(o, seq);
	else
		jo_null(o);
	jo_object_end(o);
	growing_release(&g);
	if (!n && e.code)
		answer_err(q, &e);
	else
		answer_json(q, 200);
}

/* ---- the grant of a lease ---- */

struct search {
	struct journal_reader *r;
	struct growing g;
	unsigned reads;
	const Wire__LeaseGranted *grant;
	uint64_t time_ns;
};

/* The first grant at or after `seq`, before `end`; its place, or `end`: none (or too far to look). */
static uint64_t grant_from(struct search *s, uint64_t seq, uint64_t end)
{
	for (; seq < end && s->reads < GRANT_READS_MAX; seq++, s->reads++) {
		const uint8_t *bytes;
		size_t n;
		uint8_t leaf[32];
		const Wire__Entry *en;

		if (journal_read_entry(s->r, seq, &bytes, &n, leaf, NULL) < 0)
			continue; /* dropped by policy: what was granted there is not known any more */
		growing_clear(&s->g);
		if (entry_decode(&s->g.arena, bytes, n, &en, NULL) < 0)
			return end;
		if (en->body_case != WIRE__ENTRY__BODY_LEASE_GRANTED)
			continue;
		s->grant = en->lease_granted;
		s->time_ns = en->time_ns;
		return seq;
	}
	return end;
}

static void found(struct api *a, const struct search *s, struct lease_found *out)
{
	const Wire__LeaseGranted *g = s->grant;
	struct sched_node_view v;

	out->found = true;
	out->time_ns = s->time_ns;
	out->variant = g->variant;
	out->job = g->job;
	out->step = g->step;
	for (size_t i = 0; i < g->n_devices && out->n_devices < DEVICES_PER_LEASE_MAX; i++)
		out->devices[out->n_devices++] = g->devices[i];
	if (sched_node(engine_sched(node_engine(a->node)), g->node, &v))
		snprintf(out->node, sizeof(out->node), "%s", v.name);
}

void lease_find(struct api *a, uint64_t lease, uint64_t before, struct lease_found *out)
{
	struct search s = {.r = node_reader(a->node)};
	uint64_t lo = 0, hi = before;

	*out = (struct lease_found){.lease = lease};
	growing_init(&s.g, 64u << 10, 4 * ENTRY_BYTES_MAX);
	/* Invariant: the grant, if it can be found, is in [lo, hi). */
	while (lo < hi && s.reads < GRANT_READS_MAX) {
		uint64_t mid = lo + (hi - lo) / 2, at = grant_from(&s, mid, hi);

		if (at == hi) {
			hi = mid;
		} else if (s.grant->lease == lease) {
			found(a, &s, out);
			break;
		} else if (s.grant->lease < lease) {
			lo = at + 1;
		} else {
			hi = mid;
		}
	}
	growing_release(&s.g);
}
