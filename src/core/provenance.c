/* SPDX-License-Identifier: Apache-2.0 */
/* provenance - see provenance.h. */
#include "core/provenance.h"

#include <stdio.h>
#include <string.h>

#include "core/jsontext.h"
#include "core/params.h"
#include "core/sources.h"
#include "wire/entry.h"

static void digest(struct jsonw *w, const uint8_t sha256[32])
{
	jw_raw(w, "\"digest\":{\"sha256\":");
	jw_hex(w, sha256, 32);
	jw_raw(w, "}");
}

/* ---- what came out ---- */

static const uint8_t *sha256_of_nothing(void)
{
	static const uint8_t nothing[32] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
	        0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95,
	        0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};

	return nothing;
}

static void subject(struct jsonw *w, const struct receipt_output *o)
{
	jw_raw(w, "{\"name\":");
	jw_str(w, o->name);
	jw_raw(w, ",");
	digest(w, o->sha256 ? o->sha256 : sha256_of_nothing());
	if (o->truncated)
		jw_raw(w, ",\"annotations\":{\"truncated\":true}");
	jw_raw(w, "}");
}

static void subjects(struct jsonw *w, const struct receipt_view *r)
{
	const struct receipt_output none = {.name = "stdout"};
	struct receipt_output o;
	unsigned n = 0;

	jw_raw(w, "\"subject\":[");
	for (size_t i = 0; receipt_output(r, i, &o); i++) {
		if (!o.sha256)
			continue;
		jw_raw(w, n++ ? "," : "");
		subject(w, &o);
	}
	if (!n)
		subject(w, &none);
	jw_raw(w, "]");
}

/* ---- what was run ---- */

/* A template as it was for this task; as it stands when it names the lines of a file, or where the task ran. */
static void template(struct jsonw *w, const struct receipt_view *r, const char *text)
{
	const struct params p = {.spec = r->job->spec,
	        .step = r->lease->step,
	        .task = r->task,
	        .job = r->job->job,
	        .attempt = r->lease->lease,
	        .node = "${node}",
	        .devices = "${devices}"};
	char expanded[16384];
	int64_t n = template_expand(&p, text, expanded, sizeof(expanded), NULL);

	if (n < 0)
		jw_str(w, text);
	else
		jw_str_n(w, expanded, (size_t)n);
}

static void command(struct jsonw *w, const struct receipt_view *r)
{
	const Wire__Step *s = r->step;
	const Wire__Variant *v = r->lease->variant < s->n_variants ? s->variants[r->lease->variant] : NULL;
	const Wire__Command *c = v && v->command ? v->command : s->command;

	if (s->worker) {
		jw_raw(w, ",\"function\":");
		jw_str(w, s->worker->function);
		jw_raw(w, ",\"arguments\":");
		template(w, r, s->worker->args ? s->worker->args : "");
	}
	if (c && c->shell && c->shell[0]) {
		jw_raw(w, ",\"shell\":");
		template(w, r, c->shell);
	} else if (c) {
		jw_raw(w, ",\"command\":[");
		for (size_t i = 0; i < c->n_argv; i++) {
			jw_raw(w, i ? "," : "");
			template(w, r, c->argv[i]);
		}
		jw_raw(w, "]");
	}
}

/* RFC 3986, section 2.3: what is unreserved stays; "/" too when it may. */
static void encoded(char *out, size_t room, const char *s, const char *keep)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t n = 0;

	for (; *s && n + 4 < room; s++) {
		if (strchr(plain, *s) || strchr(keep, *s))
			out[n++] = *s;
		else
			n += (size_t)snprintf(out + n, room - n, "%%%02X", (unsigned)(uint8_t)*s);
	}
	out[n] = '\0';
}

static void uri(struct jsonw *w, const char *head, const char *name, const char *more)
{
	char a[3 * NOTE_NAME_MAX + 8], b[4096], all[sizeof(a) + sizeof(b) + 64];

	encoded(a, sizeof(a), name, "/");
	encoded(b, sizeof(b), more, "/");
	(void)snprintf(all, sizeof(all), "%s%s%s%s", head, a, *more ? "/" : "", b);
	jw_str(w, all);
}

/* What stood in for an output of an earlier step, where that step was another node's; `next` counts them. Receipts are anybody's bytes. */
static const uint8_t *given(const struct receipt_view *r, const Wire__Input *in, uint32_t *next)
{
	const Wire__Sources *s = r->step->sources;
	struct source_view v;

	if (!s || in->blob.len == 32 || sources_ok(r->step, NULL) < 0 || r->task >= s->n_count)
		return NULL;
	sources_at(s, r->task, sources_reduced(r->step, r->task) + (*next)++, NULL, &v);
	return v.bytes && v.bytes != SOURCE_MISSING ? v.sha256 : NULL;
}

static void dependencies(struct jsonw *w, const struct receipt_view *r)
{
	uint32_t next = 0;

	jw_raw(w, "\"resolvedDependencies\":[{\"name\":\"job specification\",");
	digest(w, r->spec_sha256);
	jw_raw(w, "}");
	for (size_t i = 0; i < r->step->n_inputs; i++) {
		const Wire__Input *in = r->step->inputs[i];
		const uint8_t *sha256 = in->blob.len == 32 ? in->blob.data : given(r, in, &next);

		jw_raw(w, ",{\"name\":");
		jw_str(w, in->path);
		jw_raw(w, ",");
		if (sha256) {
			digest(w, sha256);
		} else {
			jw_raw(w, "\"uri\":");
			uri(w, "urn:osier:output:", in->from_step ? in->from_step : "",
			        in->from_output ? in->from_output : "");
		}
		jw_raw(w, "}");
	}
	jw_raw(w, "]");
}

static void build(struct jsonw *w, const struct receipt_view *r)
{
	jw_raw(w, "\"buildDefinition\":{\"buildType\":\"" PROVENANCE_BUILD_TYPE
	          "\",\"externalParameters\":{\"job\":");
	jw_str(w, r->job->spec->name);
	jw_raw(w, ",\"step\":");
	jw_str(w, r->step->name);
	jw_raw(w, ",\"task\":");
	jw_u64(w, r->task);
	command(w, r);
	jw_raw(w, "},\"internalParameters\":{\"lease\":");
	jw_u64(w, r->lease->lease);
	jw_raw(w, ",\"variant\":");
	jw_u64(w, r->lease->variant);
	jw_raw(w, ",\"replica\":");
	jw_u64(w, r->lease->replica);
	jw_raw(w, "},");
	dependencies(w, r);
	jw_raw(w, "}");
}

/* ---- where and when ---- */

static void run(struct jsonw *w, const struct receipt_view *r)
{
	uint64_t start = r->lease_entry->time_ns + RESULT_COLUMN(r->results, start_us, r->column) * 1000;
	char id[512];

	jw_raw(w, "\"runDetails\":{\"builder\":{\"id\":");
	uri(w, "urn:osier:node:", r->node, "");
	jw_raw(w, "},\"metadata\":{\"invocationId\":");
	(void)snprintf(id, sizeof(id), "%.200s-%llu/%.200s/%llu@%llu", r->job->spec->name,
	        (unsigned long long)r->job->job, r->step->name, (unsigned long long)r->task,
	        (unsigned long long)r->lease->lease);
	jw_str(w, id);
	jw_raw(w, ",\"startedOn\":");
	jw_time(w, start);
	jw_raw(w, ",\"finishedOn\":");
	jw_time(w, start + RESULT_COLUMN(r->results, wall_us, r->column) * 1000);
	jw_raw(w, ",\"osier_outcome\":");
	jw_str(w, outcome_name(RESULT_COLUMN(r->results, outcome, r->column)));
	jw_raw(w, ",\"osier_code\":");
	jw_i64(w, RESULT_COLUMN(r->results, code, r->column));
	jw_raw(w, "},");
}

/* Where in the log the receipt is: it travels beside (`osier receipt`), and proves more than this. */
static void receipt(struct jsonw *w, const struct receipt_view *r)
{
	char vkey[NOTE_VKEY_MAX];
	struct note_key k;

	note_key_make(r->node, NOTE_ED25519, r->node_key, &k);
	note_key_print(&k, vkey);
	jw_raw(w, "\"osier_receipt\":{\"log\":");
	jw_str_n(w, r->checkpoint.origin, r->checkpoint.origin_n);
	jw_raw(w, ",\"entry\":");
	jw_u64(w, r->entry);
	jw_raw(w, ",\"leaf\":");
	jw_hex(w, r->leaf, 32);
	jw_raw(w, ",\"node\":");
	jw_str(w, vkey);
	jw_raw(w, "}}");
}

/* Other replicas of a verified task that came to the same bytes: what each put out, as a byproduct. */
static void agreed(struct jsonw *w, const struct receipt_view *r)
{
	struct receipt_output o;
	char name[4200];
	unsigned n = 0;

	if (!r->n_agreed)
		return;
	jw_raw(w, "\"byproducts\":[");
	for (size_t k = 0; k < r->n_agreed; k++)
		for (size_t i = 0; receipt_output(r, i, &o); i++) {
			/* What it said on stderr may be another thing. */
			if (i == 1 || (!o.sha256 && i > 0))
				continue;
			jw_raw(w, n++ ? ",{\"name\":" : "{\"name\":");
			(void)snprintf(name, sizeof(name), "%s of replica %u", o.name, r->agreed[k].replica);
			jw_str(w, name);
			jw_raw(w, ",");
			digest(w, o.sha256 ? o.sha256 : sha256_of_nothing());
			jw_raw(w, ",\"annotations\":{\"osier_agrees\":true,\"replica\":");
			jw_u64(w, r->agreed[k].replica);
			jw_raw(w, ",\"lease\":");
			jw_u64(w, r->agreed[k].lease);
			jw_raw(w, ",\"node\":");
			jw_u64(w, r->agreed[k].node);
			jw_raw(w, ",\"entry\":");
			jw_u64(w, r->agreed[k].entry);
			if (receipt_hidden(r)) {
				jw_raw(w, ",\"committed_by\":");
				jw_u64(w, r->last_commitment);
				jw_raw(w, ",\"first_told\":");
				jw_u64(w, r->first_told);
			}
			jw_raw(w, "}}");
		}
	jw_raw(w, "],");
}

size_t provenance_print(const struct receipt_view *r, char *out, size_t max)
{
	struct jsonw w = {.p = out, .max = max};

	jw_raw(&w, "{\"_type\":\"" STATEMENT_TYPE "\",");
	subjects(&w, r);
	jw_raw(&w, ",\"predicateType\":\"" PROVENANCE_PREDICATE "\",\"predicate\":{");
	build(&w, r);
	jw_raw(&w, ",");
	run(&w, r);
	agreed(&w, r);
	receipt(&w, r);
	jw_raw(&w, "}}");
	return w.n;
}
