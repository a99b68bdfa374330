/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_history - who did what: the entries of the journal in words, each with its number and its leaf hash, which lead to its proof.
 *
 * Read backwards, a page at a time, with few entries to a page, because the loop waits meanwhile. Whoever is not the node's owner
 * sees what he did himself, and what was done for his jobs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "wire/entry.h"

#define READS_MAX   1000u /* entries looked at for one page */
#define LEASES_KEPT 64u   /* grants looked up, for the results that follow them */

struct wanted {
	uint64_t job, since_ns; /* 0: any */
	const char *node;       /* NULL: any */
	int64_t uid;            /* -1: any */
};

struct row {
	uint64_t seq;
	uint8_t leaf[32];
	uint64_t job; /* 0: of none */
	bool has_uid;
	uint32_t uid;
	char node[64], what[700];
};

struct scan {
	struct request *q;
	struct wanted want;
	struct growing g;
	struct lease_found lease[LEASES_KEPT];
	struct row row;
};

static void say(struct row *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Append to what is told, cut when there is no more room. */
static void say(struct row *r, const char *fmt, ...)
{
	size_t n = strlen(r->what);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(r->what + n, sizeof(r->what) - n, fmt, ap);
	va_end(ap);
}

static void say_job(struct scan *s, uint64_t job)
{
	struct job_view v;
	char name[NAME_TEXT_BYTES];

	s->row.job = job;
	if (!engine_job(node_engine(s->q->api->node), (job_id){job}, &v)) {
		say(&s->row, "job %llu", (unsigned long long)job);
		return;
	}
	if (!s->row.has_uid) {
		s->row.has_uid = true;
		s->row.uid = v.uid;
	}
	job_name_text(v.name, job, name, sizeof(name));
	say(&s->row, "%s", name);
}

static void say_step(struct scan *s, uint64_t job, uint32_t step)
{
	struct spec_ref ref = {0};
	struct err e;

	say_job(s, job);
	if (spec_hold(s->q->api->specs, node_engine(s->q->api->node), (job_id){job}, &ref, &e) == 0 &&
	        step < ref.spec->n_steps)
		say(&s->row, "/%s", ref.spec->steps[step]->name);
	spec_release(&ref);
}

static void by(struct row *r, const Wire__Principal *p)
{
	if (!p)
		return;
	r->has_uid = true;
	r->uid = p->uid;
}

static void say_tasks(struct row *r, uint64_t first, uint64_t count)
{
	if (count == 1)
		say(r, " task %llu", (unsigned long long)first);
	else
		say(r, " tasks %llu-%llu", (unsigned long long)first,
		        (unsigned long long)(first + count - 1));
}

static const struct lease_found *lease_of(struct scan *s, uint64_t lease)
{
	struct lease_found *l = &s->lease[lease % LEASES_KEPT];

	if (l->lease != lease || lease == 0)
		lease_find(s->q->api, lease, s->row.seq, l);
	return l;
}

static void set_node(struct row *r, const char *name)
{
	(void)snprintf(r->node, sizeof(r->node), "%s", name);
}

/* ---- each kind, in words ---- */

static void submitted(struct scan *s, const Wire__JobSubmitted *m)
{
	struct row *r = &s->row;
	unsigned long long tasks = 0;

	by(r, m->by);
	r->job = m->job;
	for (size_t i = 0; i < m->spec->n_steps; i++)
		tasks += m->spec->steps[i]->tasks;
	say(r, "submitted %.200s-%llu: %zu step%s, %llu task%s", m->spec->name, (unsigned long long)m->job,
	        m->spec->n_steps, m->spec->n_steps == 1 ? "" : "s", tasks, tasks == 1 ? "" : "s");
}

static void granted(struct scan *s, const Wire__LeaseGranted *m)
{
	struct sched_node_view v;

	say_step(s, m->job, m->step);
	say_tasks(&s->row, m->first, m->count);
	if (sched_node(engine_sched(node_engine(s->q->api->node)), m->node, &v))
		set_node(&s->row, v.name);
	say(&s->row, ": lease %llu to node %s", (unsigned long long)m->lease,
	        s->row.node[0] ? s->row.node : "?");
}

static void results(struct scan *s, const Wire__Results *m)
{
	const struct lease_found *l = lease_of(s, m->lease);
	uint64_t done = 0;
	int first_bad = -1;

	for (uint64_t i = 0; m->n_outcome > 1 && i < m->count; i++) {
		done += m->outcome[i] == WIRE__OUTCOME__SUCCEEDED;
		if (m->outcome[i] != WIRE__OUTCOME__SUCCEEDED && first_bad < 0)
			first_bad = (int)m->outcome[i];
	}
	if (m->n_outcome <= 1) {
		first_bad = RESULT_COLUMN(m, outcome, 0) == WIRE__OUTCOME__SUCCEEDED
		                    ? -1
		                    : (int)RESULT_COLUMN(m, outcome, 0);
		done = first_bad < 0 ? m->count : 0;
	}
	if (l->found) {
		say_step(s, l->job, l->step);
		set_node(&s->row, l->node);
	} else {
		say(&s->row, "lease %llu", (unsigned long long)m->lease);
	}
	say_tasks(&s->row, m->first, m->count);
	if (m->commitments.len)
		say(&s->row, ": committed to an answer");
	else if (first_bad < 0 && m->nonces.len)
		say(&s->row, " succeeded: revealed");
	else if (first_bad < 0)
		say(&s->row, " succeeded");
	else if (done == 0)
		say(&s->row, " %s", outcome_name((Wire__Outcome)first_bad));
	else
		say(&s->row, ": %llu succeeded, %llu not (%s)", (unsigned long long)done,
		        (unsigned long long)(m->count - done), outcome_name((Wire__Outcome)first_bad));
}

static void ended(struct scan *s, const Wire__LeaseEnded *m)
{
	const struct lease_found *l = lease_of(s, m->lease);

	if (l->found) {
		say_step(s, l->job, l->step);
		set_node(&s->row, l->node);
		say(&s->row, ": ");
	}
	say(&s->row, "lease %llu ended early: %s", (unsigned long long)m->lease, stop_reason_name(m->reason));
}

static void parked(struct scan *s, const Wire__LeaseParked *m)
{
	static const char *const what[] = {
	        "waits for its node, which cannot be reached; its tasks wait again",
	        "has its tasks again, its node is back", "is to stop, others have done its tasks"};
	const struct lease_found *l = lease_of(s, m->lease);

	if (l->found) {
		say_step(s, l->job, l->step);
		set_node(&s->row, l->node);
		say(&s->row, ": ");
	}
	say(&s->row, "lease %llu %s", (unsigned long long)m->lease,
	        (unsigned)m->what < ARRAY_LEN(what) ? what[m->what] : "?");
	for (size_t i = 0; i < m->n_stop; i++)
		say(&s->row, "%s %llu", i ? "," : "; of attempts at the same tasks stops lease",
		        (unsigned long long)m->stop[i]);
}

static void late(struct scan *s, const Wire__LateResult *m)
{
	struct sched_node_view v;

	say_step(s, m->job, m->step);
	say_tasks(&s->row, m->first, m->count);
	if (sched_node(engine_sched(node_engine(s->q->api->node)), m->node, &v))
		set_node(&s->row, v.name);
	say(&s->row, ": late, refused (lease %llu): others had committed", (unsigned long long)m->lease);
}

static void away(struct scan *s, const Wire__Entry *en)
{
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_PARKED)
		parked(s, en->lease_parked);
	else
		late(s, en->late_result);
}

static void adjusted(struct scan *s, const Wire__JobAdjusted *m)
{
	static const struct {
		Wire__JobAdjusted__Field field;
		const char *name;
	} all[] = {{WIRE__JOB_ADJUSTED__FIELD__PRIORITY, "priority"},
	        {WIRE__JOB_ADJUSTED__FIELD__DEADLINE, "deadline"},
	        {WIRE__JOB_ADJUSTED__FIELD__TIMEOUT, "timeout"},
	        {WIRE__JOB_ADJUSTED__FIELD__QUEUE_TIMEOUT, "queue timeout"},
	        {WIRE__JOB_ADJUSTED__FIELD__RUN_TIMEOUT, "run timeout"},
	        {WIRE__JOB_ADJUSTED__FIELD__CONCURRENCY, "concurrency"},
	        {WIRE__JOB_ADJUSTED__FIELD__HELD, "held"}};
	bool any = false;

	by(&s->row, m->by);
	say(&s->row, "adjusted ");
	say_job(s, m->job);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (!(m->set & all[i].field))
			continue;
		say(&s->row, "%s%s", any ? ", " : ": ", all[i].name);
		any = true;
	}
	if (m->set & WIRE__JOB_ADJUSTED__FIELD__PRIORITY)
		say(&s->row, " (priority %u)", m->priority);
}

static void node_set(struct scan *s, const Wire__NodeSet *m)
{
	static const char *const states[] = {"up", "drained", "lost", "cordoned", "disconnected"};

	by(&s->row, m->by);
	set_node(&s->row, m->name);
	say(&s->row, "node %s is %s", m->name,
	        (unsigned)m->state < ARRAY_LEN(states) ? states[m->state] : "?");
	for (size_t i = 0; m->by && i < m->n_admin_labels; i++)
		say(&s->row, "%s %.63s=%.80s", i ? "," : ", with", m->admin_labels[i]->key,
		        m->admin_labels[i]->value);
}

static void token_set(struct row *r, const Wire__TokenSet *m)
{
	by(r, m->by);
	if (*m->used_by)
		say(r, "%.63s used a token", m->used_by);
	else
		say(r, "%s",
		        m->revoked   ? "withdrew a token for joining"
		        : m->standby ? "made a token for a standby, which gets the hub's keys"
		                     : "made a token for joining");
}

static void cert_set(struct row *r, const Wire__CertSet *m)
{
	by(r, m->by);
	if (m->revoked)
		say(r, "removed node %.63s, its certificates are revoked%s%.200s", m->node,
		        *m->reason ? ": " : "", m->reason);
	else if (*m->standby)
		say(r, "%.63s stands by at %.200s, and may have the hub's keys", m->node, m->standby);
	else
		say(r, "certificate for node %.63s%s", m->node, m->was.len ? ", which has a new key" : "");
}

/* Only what people would ask about: latencies and blobs come and go. */
static bool node_facts(struct scan *s, const Wire__NodeFacts *m)
{
	struct sched_node_view v;

	if ((m->set & WIRE__NODE_FACTS__WHAT__PAUSE) == 0 ||
	        !sched_node(engine_sched(node_engine(s->q->api->node)), m->node, &v))
		return false;
	set_node(&s->row, v.name);
	if (m->paused_until_ns != 0)
		say(&s->row, "node %s pauses: %u tasks in a row failed on it", v.name, m->failures);
	else
		say(&s->row, "node %s works again", v.name);
	return true;
}

static void key_set(struct scan *s, const Wire__KeySet *m)
{
	static const char *const roles[] = {"log", "node", "witness", "anchor"}, *const states[] = {
	                                                                                 "begins to speak",
	                                                                                 "speaks no more",
	                                                                                 "is revoked"};

	by(&s->row, m->by);
	say(&s->row, "key of the %s %s: %.300s", (unsigned)m->role < ARRAY_LEN(roles) ? roles[m->role] : "?",
	        (unsigned)m->state < ARRAY_LEN(states) ? states[m->state] : "?", m->vkey);
	if (m->state == WIRE__KEY_SET__STATE__REVOKED)
		say(&s->row, " (%.200s)", m->reason);
}

static void asked(
        struct scan *s, const Wire__Principal *who, const char *did, uint64_t job, const char *reason)
{
	by(&s->row, who);
	say(&s->row, "%s ", did);
	say_job(s, job);
	if (reason && *reason)
		say(&s->row, ": %.300s", reason);
}

static void namespace_set(struct row *r, const Wire__NamespaceSet *m)
{
	by(r, m->by);
	say(r, "set namespace %.100s: weight %u, %zu quotas", m->name, m->weight, m->n_quota);
}

/* False: an entry that is nobody's doing. */
static bool describe(struct scan *s, const Wire__Entry *en)
{
	switch (en->body_case) {
	case WIRE__ENTRY__BODY_BOOT:
		say(&s->row, "engine of osier %.60s took over (epoch %llu)", en->boot->version,
		        (unsigned long long)en->boot->epoch);
		return true;
	case WIRE__ENTRY__BODY_NODE_SET:
		node_set(s, en->node_set);
		return true;
	case WIRE__ENTRY__BODY_NAMESPACE_SET:
		namespace_set(&s->row, en->namespace_set);
		return true;
	case WIRE__ENTRY__BODY_JOB_SUBMITTED:
		submitted(s, en->job_submitted);
		return true;
	case WIRE__ENTRY__BODY_REFUSED:
		by(&s->row, en->refused->by);
		say(&s->row, "refused (%.40s): %.400s", en->refused->what, en->refused->reason);
		return true;
	case WIRE__ENTRY__BODY_LEASE_GRANTED:
		granted(s, en->lease_granted);
		return true;
	case WIRE__ENTRY__BODY_RESULTS:
		results(s, en->results);
		return true;
	case WIRE__ENTRY__BODY_LEASE_ENDED:
		if (en->lease_ended->reason == WIRE__STOP_REASON__DONE)
			return false;
		ended(s, en->lease_ended);
		return true;
	case WIRE__ENTRY__BODY_LEASE_PARKED:
	case WIRE__ENTRY__BODY_LATE_RESULT:
		away(s, en);
		return true;
	case WIRE__ENTRY__BODY_JOB_CANCELLED:
		asked(s, en->job_cancelled->by, "cancelled", en->job_cancelled->job,
		        en->job_cancelled->reason);
		return true;
	case WIRE__ENTRY__BODY_JOB_RETRIED:
		asked(s, en->job_retried->by, "retried", en->job_retried->job, NULL);
		return true;
	case WIRE__ENTRY__BODY_JOB_ADJUSTED:
		adjusted(s, en->job_adjusted);
		return true;
	case WIRE__ENTRY__BODY_JOB_FORGOTTEN:
		asked(s, NULL, "forgot", en->job_forgotten->job, en->job_forgotten->policy);
		return true;
	case WIRE__ENTRY__BODY_KEY_SET:
		key_set(s, en->key_set);
		return true;
	case WIRE__ENTRY__BODY_TOKEN_SET:
		token_set(&s->row, en->token_set);
		return true;
	case WIRE__ENTRY__BODY_CERT_SET:
		cert_set(&s->row, en->cert_set);
		return true;
	case WIRE__ENTRY__BODY_NODE_FACTS:
		return node_facts(s, en->node_facts);
	case WIRE__ENTRY__BODY_LEASE_STOPPING:
	case WIRE__ENTRY__BODY_EXPIRED:
	case WIRE__ENTRY__BODY_COMPARED:
	case WIRE__ENTRY__BODY_RECEIPTS:
	case WIRE__ENTRY__BODY_QUOTA_SET:
	case WIRE__ENTRY__BODY_NODE_LINK:
	case WIRE__ENTRY__BODY_LINK_SET:
	case WIRE__ENTRY__BODY__NOT_SET:
	case _WIRE__ENTRY__BODY__CASE_IS_INT_SIZE:
		break;
	}
	return false;
}

static bool matches(const struct scan *s)
{
	const struct row *r = &s->row;
	const struct wanted *w = &s->want;

	if (!is_node_owner(s->q) && !(r->has_uid && r->uid == s->q->client->uid))
		return false;
	return (!w->job || r->job == w->job) && (w->uid < 0 || (r->has_uid && r->uid == (uint64_t)w->uid)) &&
	       (!w->node || strcmp(r->node, w->node) == 0);
}

static void row_json(struct json_out *o, const struct row *r, const Wire__Entry *en)
{
	char name[40];

	jo_object(o);
	jo_key(o, "entry");
	jo_u64(o, r->seq);
	jo_key(o, "time");
	jo_time(o, en->time_ns);
	jo_key(o, "kind");
	jo_str(o, entry_kind_name(en));
	jo_key(o, "uid");
	if (r->has_uid)
		jo_u64(o, r->uid);
	else
		jo_null(o);
	jo_key(o, "user");
	jo_str(o, r->has_uid ? api_user_name(r->uid, name, sizeof(name)) : NULL);
	jo_key(o, "job");
	if (r->job)
		jo_u64(o, r->job);
	else
		jo_null(o);
	jo_key(o, "node");
	jo_str(o, r->node[0] ? r->node : NULL);
	jo_key(o, "what");
	jo_str(o, r->what);
	jo_key(o, "leaf");
	jo_hex(o, r->leaf, 32);
	jo_object_end(o);
}

/* ---- the page ---- */

/* < 0: answered. */
static int read_query(struct request *q, struct wanted *w, uint64_t *before, uint64_t *limit)
{
	const char *job = query_text(q, "job"), *since = query_text(q, "since");
	uint64_t uid = UINT64_MAX;
	struct job_view v;

	*w = (struct wanted){.node = query_text(q, "node"), .uid = -1};
	if (query_u64(q, "uid", 0, UINT32_MAX, &uid) < 0 ||
	        query_u64(q, "before", 0, INT64_MAX, before) < 0 ||
	        query_u64(q, "limit", 1, API_PAGE_MAX, limit) < 0)
		return -1;
	if (uid != UINT64_MAX)
		w->uid = (int64_t)uid;
	if (since && jo_time_parse(since, &w->since_ns) < 0) {
		answer_errf(q, 400, "invalid", "as in 2026-11-20T14:05:09Z",
		        "'since' is '%.40s': it must be a time", since);
		return -1;
	}
	if (!job || (path_number(job, &w->job) == 0 && w->job))
		return 0; /* by its number a job is found that was forgotten since */
	if (job_by_name(q, job, &v) < 0)
		return -1;
	w->job = v.id.v;
	if (v.submitted_ns > w->since_ns)
		w->since_ns = v.submitted_ns;
	return 0;
}

enum found { FOUND_NOTHING, FOUND_ROW, FOUND_OLDER, FOUND_EXPIRED, FOUND_FAULT };

static enum found look(struct scan *s, uint64_t seq, struct json_out *o, struct err *e)
{
	const Wire__Entry *en;
	const uint8_t *bytes;
	size_t n;

	memset(&s->row, 0, sizeof(s->row));
	s->row.seq = seq;
	growing_clear(&s->g);
	if (journal_read_entry(node_reader(s->q->api->node), seq, &bytes, &n, s->row.leaf, e) < 0)
		return e->code == ERR_NOTFOUND ? FOUND_EXPIRED : FOUND_FAULT;
	if (entry_decode(&s->g.arena, bytes, n, &en, e) < 0)
		return FOUND_FAULT;
	if (en->time_ns < s->want.since_ns)
		return FOUND_OLDER; /* times never decrease along the journal */
	if (!describe(s, en) || !matches(s))
		return FOUND_NOTHING;
	row_json(o, &s->row, en);
	return FOUND_ROW;
}

void h_history(struct request *q)
{
	uint64_t size = journal_durable(node_journal(q->api->node)), before = size, limit = API_PAGE,
	         rows = 0, reads = 0, start;
	struct scan *s = calloc(1, sizeof(*s));
	enum found found = FOUND_NOTHING;
	struct json_out *o = answer_out(q);
	struct err e = {0};

	CHECK(s);
	s->q = q;
	if (read_query(q, &s->want, &before, &limit) < 0) {
		free(s);
		return;
	}
	if (before > size)
		before = size;
	start = before;
	growing_init(&s->g, 256u << 10, 4 * ENTRY_BYTES_MAX);
	jo_object(o);
	jo_key(o, "history");
	jo_array(o);
	while (before > 0 && rows < limit && reads++ < READS_MAX && found <= FOUND_ROW) {
		found = look(s, before - 1, o, &e);
		rows += found == FOUND_ROW;
		before -= found <= FOUND_ROW;
	}
	jo_array_end(o);
	jo_key(o, "before"); /* asked with this, it is the same page for ever */
	jo_u64(o, start);
	jo_key(o, "next");
	if (before > 0 && found <= FOUND_ROW)
		jo_u64(o, before);
	else
		jo_null(o);
	jo_key(o, "expired"); /* entries from the first on, whose payload is gone */
	jo_u64(o, found == FOUND_EXPIRED ? before : 0);
	jo_object_end(o);
	growing_release(&s->g);
	free(s);
	if (found == FOUND_FAULT)
		answer_err(q, &e);
	else
		answer_json(q, 200);
}
