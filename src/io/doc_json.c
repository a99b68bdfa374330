/* SPDX-License-Identifier: Apache-2.0 */
/* doc_json - see doc_json.h. */
#include "io/doc_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/doc_yaml.h"

struct walk {
	struct arena *arena;
	struct jobspec_problem *problem;
	size_t nodes;
};

json_t *doc_json_load(const char *text, size_t n, size_t bytes_max, struct jobspec_problem *problem)
{
	json_error_t je;
	json_t *json;

	if (n > bytes_max) {
		(void)doc_fault(problem, 0, 0, "less", "%zu bytes of text, more than %zu", n, bytes_max);
		return NULL;
	}
	json = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (!json && doc_text_check(text, n, problem) == 0)
		(void)doc_fault(problem, je.line > 0 ? (size_t)je.line : 0,
		        je.column > 0 ? (size_t)je.column : 0, "valid JSON", "broken JSON: %s", je.text);
	return json;
}

static int no_memory(struct walk *w)
{
	return doc_fault(w->problem, 0, 0, "a smaller job", "more than fits in memory");
}

/* Shortest of the usual precisions that reads back the same; a comma of the locale becomes a point. */
static void real_text(double v, char *out, size_t room)
{
	char *comma;

	(void)snprintf(out, room, "%.15g", v);
	if (strtod(out, NULL) != v)
		(void)snprintf(out, room, "%.17g", v);
	comma = strchr(out, ',');
	if (comma)
		*comma = '.';
}

static int number(struct walk *w, const json_t *json, struct doc *d)
{
	char text[40];

	if (json_is_integer(json))
		(void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
	else
		real_text(json_real_value(json), text, sizeof(text));
	d->text_bytes = strlen(text);
	d->text = arena_dup(w->arena, text, d->text_bytes);
	return d->text ? 0 : no_memory(w);
}

static int convert(struct walk *w, const json_t *json, unsigned depth, struct doc *d);

static struct doc *child(struct walk *w, const json_t *json, unsigned depth, const struct doc ***tail)
{
	struct doc *c = arena_alloc(w->arena, sizeof(*c));

	if (!c) {
		(void)no_memory(w);
		return NULL;
	}
	**tail = c;
	*tail = &c->next;
	return convert(w, json, depth + 1, c) < 0 ? NULL : c;
}

static int object(struct walk *w, const json_t *json, unsigned depth, struct doc *d)
{
	const struct doc **tail = &d->child;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)json, key, value)
	{
		struct doc *c = child(w, value, depth, &tail);

		if (!c)
			return -1;
		c->key = key;
	}
	return 0;
}

static int list(struct walk *w, const json_t *json, unsigned depth, struct doc *d)
{
	const struct doc **tail = &d->child;

	for (size_t i = 0; i < json_array_size(json); i++)
		if (!child(w, json_array_get(json, i), depth, &tail))
			return -1;
	return 0;
}

static int convert(struct walk *w, const json_t *json, unsigned depth, struct doc *d)
{
	if (++w->nodes > DOC_NODES_MAX)
		return doc_fault(w->problem, 0, 0, "at most 200000 keys and values", "too many of them");
	if (depth > DOC_DEPTH_MAX)
		return doc_fault(w->problem, 0, 0, "lists and maps at most 64 deep", "too deep a nesting");
	d->kind = DOC_SCALAR;
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		d->kind = DOC_MAP;
		return object(w, json, depth, d);
	case JSON_ARRAY:
		d->kind = DOC_LIST;
		return list(w, json, depth, d);
	case JSON_STRING:
		d->quoted = true;
		d->text = json_string_value(json);
		d->text_bytes = json_string_length(json);
		return 0;
	case JSON_INTEGER:
	case JSON_REAL:
		return number(w, json, d);
	case JSON_TRUE:
		d->text = "true";
		d->text_bytes = 4;
		return 0;
	case JSON_FALSE:
		d->text = "false";
		d->text_bytes = 5;
		return 0;
	case JSON_NULL:
		d->kind = DOC_NULL;
		return 0;
	}
	return 0;
}

int doc_json_from(
        struct arena *a, const json_t *json, const struct doc **out, struct jobspec_problem *problem)
{
	struct walk w = {.arena = a, .problem = problem};
	struct doc *root = arena_alloc(a, sizeof(*root));

	if (!root)
		return no_memory(&w);
	if (convert(&w, json, 0, root) < 0)
		return -1;
	*out = root;
	return 0;
}
