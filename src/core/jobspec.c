/* SPDX-License-Identifier: Apache-2.0 */
/* jobspec - see jobspec.h: the frame of reading a job; problems and the reading of maps by tables. */
#include "core/jobspec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"
#include "wire/entry.h"

/* Copy s into out, cut with "..." on a character's boundary, control characters made visible. */
static void printable(char *out, size_t room, const char *s)
{
	size_t n = strlen(s), keep = n;

	if (n > room - 1) {
		keep = room - 4;
		while (keep && ((unsigned char)s[keep] & 0xC0) == 0x80)
			keep--;
	}
	for (size_t i = 0; i < keep; i++)
		out[i] = (unsigned char)s[i] < 0x20 || s[i] == 0x7F ? '?' : s[i];
	if (keep < n)
		memcpy(out + keep, "...", 3);
	out[keep < n ? keep + 3 : keep] = '\0';
}

static size_t trail_write(const struct trail *t, char *out, size_t room)
{
	size_t n = t->up ? trail_write(t->up, out, room) : 0;
	int k;

	if (n >= room)
		return n;
	if (t->key)
		k = snprintf(out + n, room - n, "%s%s", n ? "." : "", t->key);
	else
		k = snprintf(out + n, room - n, "[%zu]", t->index);
	return n + (size_t)(k < 0 ? 0 : k);
}

static void problem_at(
        struct build *b, uint32_t line, uint32_t column, const char *found, const char *fmt, va_list ap)
{
	struct jobspec_problem *p;

	if (b->n_problems == JOBSPEC_PROBLEMS_MAX)
		return;
	p = &b->problems[b->n_problems++];
	p->line = line;
	p->column = column;
	p->path[0] = '\0';
	if (b->trail)
		(void)trail_write(b->trail, p->path, sizeof(p->path));
	printable(p->found, sizeof(p->found), found);
	(void)vsnprintf(p->expected, sizeof(p->expected), fmt, ap);
}

void spec_problem(struct build *b, const struct doc *v, const char *found, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	problem_at(b, v ? v->line : 0, v ? v->column : 0, found, fmt, ap);
	va_end(ap);
}

/* 'text', made printable and cut. */
static void quote(char *out, size_t room, const char *text)
{
	out[0] = '\'';
	printable(out + 1, room - 2, text);
	memcpy(out + strlen(out), "'", 2);
}

void spec_problem_quoted(struct build *b, const struct doc *v, const char *found, const char *fmt, ...)
{
	char text[80];
	va_list ap;

	quote(text, sizeof(text), found);
	va_start(ap, fmt);
	problem_at(b, v ? v->line : 0, v ? v->column : 0, text, fmt, ap);
	va_end(ap);
}

void spec_problem_value(struct build *b, const struct doc *v, const char *fmt, ...)
{
	char found[80];
	va_list ap;

	switch (v->kind) {
	case DOC_NULL:
		memcpy(found, "nothing", 8);
		break;
	case DOC_LIST:
		memcpy(found, "a list", 7);
		break;
	case DOC_MAP:
		memcpy(found, "a map", 6);
		break;
	case DOC_SCALAR:
		quote(found, sizeof(found), v->text);
		break;
	}
	va_start(ap, fmt);
	problem_at(b, v->line, v->column, found, fmt, ap);
	va_end(ap);
}

void spec_problem_key(struct build *b, const struct doc *v, const char *fmt, ...)
{
	char found[80];
	va_list ap;

	quote(found, sizeof(found), v->key);
	va_start(ap, fmt);
	problem_at(b, v->key_line, v->key_column, found, fmt, ap);
	va_end(ap);
}

bool spec_enough(const struct build *b)
{
	return b->n_problems == JOBSPEC_PROBLEMS_MAX;
}

uint32_t spec_hash(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h ^ h >> 15;
}

void *spec_take(struct build *b, size_t count, size_t size)
{
	void *p = arena_calloc(b->arena, count, size);

	if (!p)
		b->full = true;
	return p;
}

size_t spec_doc_count(const struct doc *v)
{
	size_t n = 0;

	for (const struct doc *c = v->child; c; c = c->next)
		n++;
	return n;
}

const struct doc *spec_doc_get(const struct doc *v, const char *key)
{
	if (v->kind != DOC_MAP)
		return NULL;
	for (const struct doc *c = v->child; c; c = c->next)
		if (strcmp(c->key, key) == 0)
			return c;
	return NULL;
}

static const struct key *table_find(const struct table *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->keys[i].name[0] == name[0] && strcmp(t->keys[i].name, name) == 0)
			return &t->keys[i];
	return NULL;
}

static const char *table_near(const struct table *t, const char *name, unsigned *best, const char *word)
{
	for (size_t i = 0; i < t->n; i++) {
		unsigned d = spec_edit_distance(name, t->keys[i].name);

		if (spec_is_near(name, t->keys[i].name) && d < *best) {
			*best = d;
			word = t->keys[i].name;
		}
	}
	return word;
}

/* Append the table's names but those that `but` has too. */
static size_t table_list(const struct table *t, const struct table *but, char *out, size_t room, size_t n)
{
	for (size_t i = 0; i < t->n && n < room; i++)
		if (!but || !table_find(but, t->keys[i].name))
			n += (size_t)snprintf(out + n, room - n, "%s%s", n ? ", " : "", t->keys[i].name);
	return n;
}

void spec_problem_unknown(
        struct build *b, const struct doc *v, const struct table *t, const struct table *second)
{
	char list[400];
	unsigned best = 99;
	const char *word = table_near(t, v->key, &best, NULL);
	size_t n = table_list(t, NULL, list, sizeof(list), 0);

	if (second) {
		word = table_near(second, v->key, &best, word);
		(void)table_list(second, t, list, sizeof(list), n);
	}
	spec_problem_key(b, v, "%s%s%s%s%s%s", t->n == 1 && !second ? "" : "one of ", list, t->more,
	        word ? "; did you mean '" : "", word ? word : "", word ? "'?" : "");
}

void spec_read_map(struct build *b, const struct doc *v, const struct table *t, void *obj,
        const struct table *second, void *obj2)
{
	struct trail here = {.up = b->trail};

	if (v->kind != DOC_MAP) {
		spec_problem_value(b, v, "a map (key: value)");
		return;
	}
	for (const struct doc *c = v->child; c && !spec_enough(b); c = c->next) {
		const struct key *k = table_find(t, c->key);
		void *o = obj;

		here.key = c->key;
		b->trail = &here;
		if (!k && second) {
			k = table_find(second, c->key);
			o = obj2;
		}
		if (!k)
			spec_problem_unknown(b, c, t, second);
		else
			k->read(b, c, o);
		b->trail = here.up;
	}
}

/* In the order of the file; problems without a line keep their order. Insertion: there are at most twenty. */
static void problems_sort(struct jobspec_problem *p, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct jobspec_problem x = p[i];
		size_t k = i;

		for (; k > 0 &&
		        (p[k - 1].line > x.line || (p[k - 1].line == x.line && p[k - 1].column > x.column));
		        k--)
			p[k] = p[k - 1];
		p[k] = x;
	}
}

static void read_job(struct build *b)
{
	struct step_src base = {.node = b->root};
	Wire__JobSpec *job = b->job;

	job->version = 1;
	job->priority = 50;
	job->namespace_ = (char *)"default";
	job->keep_going = true;
	job->source = (char *)(b->in->source ? b->in->source : "");
	spec_step_defaults(b, &base);
	if (b->full)
		return;
	b->current = &base;
	spec_read_map(b, b->root, &spec_job_table, job, &spec_step_table, &base);
	spec_read_steps(b, &base);
	if (!b->full && b->n_steps)
		spec_graph_finish(b);
	if (!b->full)
		spec_disconnect_finish(b);
	if (!b->full)
		spec_gang_finish(b);
	if (!b->full && b->n_problems == 0 && wire__job_spec__get_packed_size(job) > JOBSPEC_BYTES_MAX)
		spec_problem(b, b->root, "too long a job",
		        "at most %u MiB once it is written out; long lists can be files: "
		        "array: {x: {lines: FILE}}",
		        JOBSPEC_BYTES_MAX >> 20);
	else if (!b->full && b->n_problems == 0 && jobspec_values(job) > JOBSPEC_VALUES_MAX)
		spec_problem(b, b->root, "too long a job",
		        "at most %u keys and values once it is written out; each step has those of the top, "
		        "such as 'env'",
		        JOBSPEC_VALUES_MAX);
}

int jobspec_from_doc(struct arena *a, const struct doc *root, const struct jobspec_in *in,
        const Wire__JobSpec **out, struct jobspec_problem *problems, size_t *n_problems)
{
	struct build b = {.arena = a, .in = in, .problems = problems, .root = root};

	CHECK(root && in && problems && n_problems);
	b.job = spec_take(&b, 1, sizeof(*b.job));
	if (b.job && root->kind != DOC_MAP) {
		spec_problem_value(&b, root, "a job: a map with at least 'command' or 'steps'");
	} else if (b.job) {
		wire__job_spec__init(b.job);
		spec_read_vars(&b, root);
		if (!b.full)
			read_job(&b);
	}
	if (b.full && b.n_problems == 0)
		spec_problem(&b, NULL, "a job too large to be read",
		        "less text, fewer steps or fewer listed values");
	problems_sort(problems, b.n_problems);
	*n_problems = b.n_problems;
	if (b.n_problems)
		return -1;
	*out = b.job;
	return 0;
}

size_t jobspec_problem_text(const struct jobspec_problem *p, const char *source, char *out, size_t room)
{
	char place[32];
	int n;

	CHECK(room > 0);
	if (p->line)
		(void)snprintf(place, sizeof(place), "%u:%u: ", p->line, p->column);
	else
		(void)snprintf(place, sizeof(place), " ");
	n = snprintf(out, room, "%s:%s%s%sfound %s, expected %s", source && source[0] ? source : "job", place,
	        p->line ? "" : p->path, p->line || !p->path[0] ? "" : ": ", p->found, p->expected);
	return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

bool jobspec_key_at(size_t i, struct jobspec_key *out)
{
	const struct table *t;

	for (size_t k = 0; (t = spec_schema_table(k)) != NULL; k++) {
		if (i < t->n) {
			*out = (struct jobspec_key){
			        t->object, t->keys[i].name, t->keys[i].type, t->keys[i].dflt};
			return true;
		}
		i -= t->n;
	}
	return false;
}
