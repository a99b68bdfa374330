/* SPDX-License-Identifier: Apache-2.0 */
/* doc_yaml - see doc_yaml.h. */
#include "io/doc_yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/check.h"

/* A list or map that is being filled. */
struct level {
	struct doc *node;
	const struct doc **tail; /* where the next child goes */
	struct doc *pending;     /* map: a child whose key was read */
};

struct reader {
	struct arena *arena;
	struct jobspec_problem *problem;
	struct level stack[DOC_DEPTH_MAX];
	size_t depth, nodes;
	struct doc *root;
	const char *text;
	size_t text_bytes;
};

int doc_fault(struct jobspec_problem *p, size_t line, size_t column, const char *expected,
        const char *found_fmt, ...)
{
	va_list ap;

	p->line = (uint32_t)line;
	p->column = (uint32_t)column;
	p->path[0] = '\0';
	va_start(ap, found_fmt);
	(void)vsnprintf(p->found, sizeof(p->found), found_fmt, ap);
	va_end(ap);
	(void)snprintf(p->expected, sizeof(p->expected), "%s", expected);
	return -1;
}

/* Bytes of the well-formed character at s (RFC 3629), 0 when there is none. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
	unsigned lo = 0x80, hi = 0xBF;
	size_t k;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xC2 && s[0] <= 0xDF)
		k = 2;
	else if (s[0] >= 0xE0 && s[0] <= 0xEF)
		k = 3;
	else if (s[0] >= 0xF0 && s[0] <= 0xF4)
		k = 4;
	else
		return 0;
	if (s[0] == 0xE0)
		lo = 0xA0;
	if (s[0] == 0xED)
		hi = 0x9F;
	if (s[0] == 0xF0)
		lo = 0x90;
	if (s[0] == 0xF4)
		hi = 0x8F;
	if (k > n || s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < k; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	return k;
}

int doc_text_check(const char *text, size_t n, struct jobspec_problem *problem)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t line = 1, column = 1, k;

	for (size_t i = 0; i < n; i += k) {
		if (s[i] == '\0')
			return doc_fault(problem, line, column, "text in UTF-8", "a NUL byte");
		k = utf8_length(s + i, n - i);
		if (k == 0)
			return doc_fault(problem, line, column, "text in UTF-8", "the byte 0x%02x", s[i]);
		column++;
		if (s[i] == '\n') {
			line++;
			column = 1;
		}
	}
	return 0;
}

static int by_key(const void *x, const void *y)
{
	const struct doc *a = *(const struct doc *const *)x, *b = *(const struct doc *const *)y;
	int c = strcmp(a->key, b->key);

	if (c)
		return c;
	if (a->key_line != b->key_line)
		return a->key_line < b->key_line ? -1 : 1;
	return a->key_column < b->key_column ? -1 : a->key_column > b->key_column;
}

static int key_twice(const struct doc *c, struct jobspec_problem *problem)
{
	return doc_fault(
	        problem, c->key_line, c->key_column, "each key once", "the key '%.100s' again", c->key);
}

int doc_keys_check(const struct doc *map, struct jobspec_problem *problem)
{
	const struct doc **all;
	size_t n = 0, i = 0;
	int rc = 0;

	for (const struct doc *c = map->child; c; c = c->next)
		n++;
	if (n <= 16) {
		for (const struct doc *c = map->child; c; c = c->next)
			for (const struct doc *d = map->child; d != c; d = d->next)
				if (strcmp(c->key, d->key) == 0)
					return key_twice(c, problem);
		return 0;
	}
	all = malloc(n * sizeof(*all));
	if (!all)
		abort();
	for (const struct doc *c = map->child; c; c = c->next)
		all[i++] = c;
	qsort(all, n, sizeof(*all), by_key);
	for (i = 1; i < n && rc == 0; i++)
		if (strcmp(all[i - 1]->key, all[i]->key) == 0)
			rc = key_twice(all[i], problem);
	free(all);
	return rc;
}

static int fault_at(struct reader *r, const yaml_mark_t *m, const char *expected, const char *found)
{
	return doc_fault(r->problem, m->line + 1, m->column + 1, expected, "%s", found);
}

/* A new node, hung where it belongs. NULL after a fault. */
static struct doc *add(struct reader *r, const yaml_mark_t *m)
{
	struct level *top = r->depth ? &r->stack[r->depth - 1] : NULL;
	struct doc *d;

	if (++r->nodes > DOC_NODES_MAX) {
		(void)fault_at(r, m, "at most 200000 keys and values", "too many of them");
		return NULL;
	}
	if (top && top->pending) {
		d = top->pending;
		top->pending = NULL;
	} else {
		d = arena_alloc(r->arena, sizeof(*d));
		if (!d) {
			(void)fault_at(r, m, "a smaller file", "more than fits in memory");
			return NULL;
		}
		if (!top)
			r->root = d;
	}
	if (top) {
		*top->tail = d;
		top->tail = &d->next;
	}
	d->line = (uint32_t)m->line + 1;
	d->column = (uint32_t)m->column + 1;
	return d;
}

static int read_key(struct reader *r, const yaml_event_t *ev, struct level *top)
{
	struct doc *d = arena_alloc(r->arena, sizeof(*d));

	if (ev->type != YAML_SCALAR_EVENT)
		return fault_at(r, &ev->start_mark, "text as a key",
		        ev->type == YAML_ALIAS_EVENT ? "an alias" : "a list or map");
	if (ev->data.scalar.tag)
		return fault_at(r, &ev->start_mark, "a key without a tag", "a tag");
	if (d)
		d->key = arena_dup(r->arena, ev->data.scalar.value, ev->data.scalar.length);
	if (!d || !d->key)
		return fault_at(r, &ev->start_mark, "a smaller file", "more than fits in memory");
	if (strlen(d->key) != ev->data.scalar.length)
		return fault_at(r, &ev->start_mark, "a key without NUL", "a NUL character");
	d->key_line = (uint32_t)ev->start_mark.line + 1;
	d->key_column = (uint32_t)ev->start_mark.column + 1;
	top->pending = d;
	return 0;
}

static int read_scalar(struct reader *r, const yaml_event_t *ev)
{
	const char *s = (const char *)ev->data.scalar.value;
	struct doc *d = add(r, &ev->start_mark);

	if (!d)
		return -1;
	if (ev->data.scalar.tag)
		return fault_at(r, &ev->start_mark, "a value without a tag", "a tag");
	d->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	if (!d->quoted && (!s[0] || strcmp(s, "~") == 0 || strcmp(s, "null") == 0)) {
		d->kind = DOC_NULL;
		return 0;
	}
	d->kind = DOC_SCALAR;
	d->text = arena_dup(r->arena, s, ev->data.scalar.length);
	d->text_bytes = ev->data.scalar.length;
	return d->text ? 0 : fault_at(r, &ev->start_mark, "a smaller file", "more than fits in memory");
}

static int open_level(struct reader *r, const yaml_event_t *ev, enum doc_kind kind, const void *tag)
{
	struct doc *d = add(r, &ev->start_mark);

	if (!d)
		return -1;
	if (tag)
		return fault_at(r, &ev->start_mark, "a value without a tag", "a tag");
	if (r->depth == DOC_DEPTH_MAX)
		return fault_at(r, &ev->start_mark, "lists and maps at most 64 deep", "too deep a nesting");
	d->kind = kind;
	r->stack[r->depth++] = (struct level){.node = d, .tail = &d->child};
	return 0;
}

static int close_level(struct reader *r)
{
	struct doc *d = r->stack[--r->depth].node;

	return d->kind == DOC_MAP ? doc_keys_check(d, r->problem) : 0;
}

/* Returns 1 at the end of the document. */
static int take_event(struct reader *r, const yaml_event_t *ev)
{
	struct level *top = r->depth ? &r->stack[r->depth - 1] : NULL;

	if (top && top->node->kind == DOC_MAP && !top->pending && ev->type != YAML_MAPPING_END_EVENT)
		return read_key(r, ev, top);
	switch (ev->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_START_EVENT:
		return 0;
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return 1;
	case YAML_ALIAS_EVENT:
		return fault_at(
		        r, &ev->start_mark, "the value itself: job files have no aliases", "an alias");
	case YAML_SCALAR_EVENT:
		return read_scalar(r, ev);
	case YAML_SEQUENCE_START_EVENT:
		return open_level(r, ev, DOC_LIST, ev->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return open_level(r, ev, DOC_MAP, ev->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_level(r);
	}
	return 0;
}

/* Does line `line` (from 0) of the text have a "${"? In [] and {} YAML takes its brace for a map's. */
static int line_has_template(const struct reader *r, size_t line)
{
	const char *s = r->text, *end = r->text + r->text_bytes;

	for (; line && s; line--) {
		s = memchr(s, '\n', (size_t)(end - s));
		s = s ? s + 1 : NULL;
	}
	for (; s && s + 1 < end && *s != '\n'; s++)
		if (s[0] == '$' && s[1] == '{')
			return 1;
	return 0;
}

static int syntax_fault(struct reader *r, const yaml_parser_t *p)
{
	const char *expected = line_has_template(r, p->problem_mark.line)
	                               ? "valid YAML; in [] and {} a text with ${...} needs quotes"
	                               : "valid YAML";
	char found[150];

	if (p->context)
		(void)snprintf(found, sizeof(found), "broken YAML: %s %s from line %zu", p->problem,
		        p->context, p->context_mark.line + 1);
	else
		(void)snprintf(
		        found, sizeof(found), "broken YAML: %s", p->problem ? p->problem : "unreadable");
	return fault_at(r, &p->problem_mark, expected, found);
}

/* Parse one event and take it. */
static int step(struct reader *r, yaml_parser_t *p)
{
	yaml_event_t ev;
	int rc;

	if (!yaml_parser_parse(p, &ev))
		return syntax_fault(r, p);
	rc = take_event(r, &ev);
	yaml_event_delete(&ev);
	return rc;
}

static int read_document(struct reader *r, yaml_parser_t *p)
{
	yaml_event_t ev;
	int rc;

	do
		rc = step(r, p);
	while (rc == 0);
	if (rc < 0)
		return rc;
	if (!r->root)
		return doc_fault(
		        r->problem, 1, 1, "a job: a map with at least 'command' or 'steps'", "an empty file");
	if (!yaml_parser_parse(p, &ev))
		return syntax_fault(r, p);
	if (ev.type != YAML_STREAM_END_EVENT)
		rc = fault_at(r, &ev.start_mark, "one document in a file", "a second document");
	yaml_event_delete(&ev);
	return rc < 0 ? rc : 0;
}

int doc_yaml_parse(
        struct arena *a, const char *text, size_t n, const struct doc **out, struct jobspec_problem *problem)
{
	struct reader r = {.arena = a, .problem = problem, .text = text, .text_bytes = n};
	yaml_parser_t parser;
	int rc;

	if (n > DOC_BYTES_MAX)
		return doc_fault(problem, 0, 0, "at most 1 MiB", "%zu bytes of text", n);
	if (doc_text_check(text, n, problem) < 0)
		return -1;
	if (!yaml_parser_initialize(&parser))
		abort();
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	rc = read_document(&r, &parser);
	yaml_parser_delete(&parser);
	if (rc == 0)
		*out = r.root;
	return rc;
}
