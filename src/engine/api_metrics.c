/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_metrics - the node in Prometheus' text format 0.0.4.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/api_int.h"

static void line(struct json_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(struct json_out *o, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	jo_raw(o, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
	jo_raw(o, "\n", 1);
}

static void head(struct json_out *o, const char *name, const char *type, const char *help)
{
	line(o, "# HELP %s %s", name, help);
	line(o, "# TYPE %s %s", name, type);
}

/* A label's value: backslash, quote and newline are escaped. */
static const char *label(const char *text, char *out, size_t room)
{
	size_t n = 0;

	for (; *text && n + 3 < room; text++) {
		if (*text == '\\' || *text == '"' || *text == '\n')
			out[n++] = '\\';
		out[n++] = *text == '\n' ? 'n' : *text;
	}
	out[n] = 0;
	return out;
}

static void jobs(struct json_out *o, const struct engine *en)
{
	uint64_t n[JOB_CANCELLED + 1] = {0}, cpu_us = 0, attempts = 0;
	struct step_counts t = {0};
	struct job_view v;

	for (job_id at = {0}; engine_job_next(en, at, &v); at = v.id) {
		n[v.state]++;
		cpu_us += v.cpu_us;
		attempts += v.attempts;
		t.blocked += v.counts.blocked;
		t.ready += v.counts.ready;
		t.delayed += v.counts.delayed;
		t.leased += v.counts.leased;
		t.succeeded += v.counts.succeeded;
		t.failed += v.counts.failed;
		t.skipped += v.counts.skipped;
		t.stopped += v.counts.stopped;
	}
	head(o, "osier_jobs", "gauge", "Jobs that are remembered, by state.");
	for (int s = JOB_WAITING; s <= JOB_CANCELLED; s++)
		line(o, "osier_jobs{state=\"%s\"} %llu", job_state_name((enum job_state)s),
		        (unsigned long long)n[s]);
	head(o, "osier_tasks", "gauge", "Tasks of the jobs that are remembered, by state.");
	const struct {
		const char *name;
		uint64_t v;
	} all[] = {{"blocked", t.blocked}, {"ready", t.ready}, {"delayed", t.delayed}, {"running", t.leased},
	        {"succeeded", t.succeeded}, {"failed", t.failed}, {"skipped", t.skipped},
	        {"stopped", t.stopped}};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		line(o, "osier_tasks{state=\"%s\"} %llu", all[i].name, (unsigned long long)all[i].v);
	head(o, "osier_job_leases", "gauge", "Leases granted to the jobs that are remembered.");
	line(o, "osier_job_leases %llu", (unsigned long long)attempts);
	head(o, "osier_job_cpu_seconds", "gauge", "User and system time of the jobs that are remembered.");
	line(o, "osier_job_cpu_seconds %llu.%06llu", (unsigned long long)cpu_us / 1000000,
	        (unsigned long long)cpu_us % 1000000);
}

static void amount(struct json_out *o, const char *metric, const char *node, const char *resource, int64_t v)
{
	char a[200], b[200];

	label(node, a, sizeof(a));
	label(resource, b, sizeof(b));
	if (in_bytes(resource))
		line(o, "%s{node=\"%s\",resource=\"%s\"} %lld", metric, a, b, (long long)v);
	else
		line(o, "%s{node=\"%s\",resource=\"%s\"} %s%lld.%03lld", metric, a, b, v < 0 ? "-" : "",
		        (long long)llabs(v) / 1000, (long long)llabs(v) % 1000);
}

static void resources(struct json_out *o, const struct sched *s)
{
	struct sched_node_view n;
	const char *name;

	head(o, "osier_node_capacity", "gauge",
	        "What a node has: bytes of memory and disk, units of all else.");
	for (uint32_t at = 0; sched_node_next(s, at, &n); at = n.node)
		for (uint32_t r = 0; r < RESOURCES_MAX && (name = sched_resource_name(s, r)); r++)
			amount(o, "osier_node_capacity", n.name, name, (int64_t)n.capacity[r]);
	head(o, "osier_node_free", "gauge", "What of it no lease holds.");
	for (uint32_t at = 0; sched_node_next(s, at, &n); at = n.node)
		for (uint32_t r = 0; r < RESOURCES_MAX && (name = sched_resource_name(s, r)); r++)
			amount(o, "osier_node_free", n.name, name, n.free[r]);
	head(o, "osier_node_up", "gauge", "1 when the node takes work.");
	for (uint32_t at = 0; sched_node_next(s, at, &n); at = n.node) {
		char a[200];

		line(o, "osier_node_up{node=\"%s\"} %d", label(n.name, a, sizeof(a)),
		        n.state == WIRE__NODE_SET__STATE__UP);
	}
}

static void journal(struct json_out *o, struct journal *j)
{
	struct journal_stats s;

	journal_stats(j, &s);
	head(o, "osier_journal_entries_total", "counter", "Durable entries of the journal.");
	line(o, "osier_journal_entries_total %llu", (unsigned long long)s.entries);
	head(o, "osier_journal_commits_total", "counter", "Batches committed since the engine started.");
	line(o, "osier_journal_commits_total %llu", (unsigned long long)s.commits);
	head(o, "osier_journal_bytes", "gauge", "Size of the journal's database.");
	line(o, "osier_journal_bytes %llu", (unsigned long long)s.db_bytes);
	head(o, "osier_journal_backlog_bytes", "gauge", "Bytes that are not durable yet.");
	line(o, "osier_journal_backlog_bytes %zu", journal_backlog_bytes(j));
	head(o, "osier_disk_full", "gauge", "1 while the journal finds no room.");
	line(o, "osier_disk_full %d", journal_full(j));
}

static void process(struct json_out *o)
{
	unsigned long long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%llu %llu", &size, &resident) == 2) {
		head(o, "process_resident_memory_bytes", "gauge", "Resident memory of the engine.");
		line(o, "process_resident_memory_bytes %llu",
		        resident * (unsigned long long)sysconf(_SC_PAGESIZE));
	}
	if (f)
		fclose(f);
}

static void api(struct json_out *o, const struct api *a)
{
	head(o, "osier_api_connections", "gauge", "Connections to the API.");
	line(o, "osier_api_connections %u", a->n_clients);
	head(o, "osier_api_answers_total", "counter", "Answers by class of status.");
	for (int i = 2; i < 6; i++)
		line(o, "osier_api_answers_total{class=\"%dxx\"} %llu", i, (unsigned long long)a->served[i]);
	head(o, "osier_api_dropped_total", "counter",
	        "Connections closed for being slow, or refused for being too many.");
	line(o, "osier_api_dropped_total %llu", (unsigned long long)a->dropped);
}

void h_metrics(struct request *q)
{
	const struct engine *en = node_engine(q->api->node);
	struct json_out *o = answer_out(q);
	struct sched_totals t;
	struct MHD_Response *r;
	char a[200];

	head(o, "osier_info", "gauge", "Version and node.");
	line(o, "osier_info{version=\"%s\",node=\"%s\"} 1", OSIER_VERSION,
	        label(node_name(q->api->node), a, sizeof(a)));
	head(o, "osier_epoch", "gauge", "How many engines took over this journal.");
	line(o, "osier_epoch %llu", (unsigned long long)engine_epoch(en));
	jobs(o, en);
	sched_totals(engine_sched(en), &t);
	head(o, "osier_leases", "gauge", "Leases now.");
	line(o, "osier_leases %llu", (unsigned long long)t.leases);
	resources(o, engine_sched(en));
	journal(o, node_journal(q->api->node));
	api(o, q->api);
	process(o);
	r = MHD_create_response_from_buffer(o->n, o->buf, MHD_RESPMEM_MUST_COPY);
	CHECK(r);
	MHD_add_response_header(r, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	answer_response(q, 200, r);
}
