/* SPDX-License-Identifier: Apache-2.0 */
/* config_read - see config_read.h; also the units of config.h. */
#include "engine/config_read.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "engine/config.h"

int config_bad(struct config_reader *r, const struct doc *d, const char *expected)
{
	const char *key = d->key ? d->key : "", *q = d->key ? "'" : "";

	switch (d->kind) {
	case DOC_SCALAR:
		return err_set(r->err, ERR_INVALID, "%s:%u:%u: %s%.60s%s%sfound '%.40s', expected %s",
		        r->source, d->line, d->column, q, key, q, d->key ? ": " : "", d->text, expected);
	case DOC_NULL:
	case DOC_LIST:
	case DOC_MAP:
		break;
	}
	return err_set(r->err, ERR_INVALID, "%s:%u:%u: %s%.60s%s%sfound %s, expected %s", r->source, d->line,
	        d->column, q, key, q, d->key ? ": " : "",
	        d->kind == DOC_NULL   ? "nothing"
	        : d->kind == DOC_LIST ? "a list"
	                              : "a map",
	        expected);
}

int config_address(const char *text, struct sockaddr_storage *out, socklen_t *out_n)
{
	const char *colon = strrchr(text, ':'), *end = colon;
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	char host[INET6_ADDRSTRLEN];
	uint64_t port = 0;
	bool six = text[0] == '[';

	if (!colon || !colon[1] || strlen(colon + 1) > 5)
		return -1;
	for (const char *p = colon + 1; *p; p++) {
		if (*p < '0' || *p > '9')
			return -1;
		port = 10 * port + (uint64_t)(*p - '0');
	}
	if (six && (--end <= text || *end != ']'))
		return -1;
	text += six;
	if (port > 65535 || (size_t)(end - text) >= sizeof(host))
		return -1;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	memset(out, 0, sizeof(*out));
	if (six) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		*out_n = sizeof(*v6);
		return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? 0 : -1;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)port);
	*out_n = sizeof(*v4);
	return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? 0 : -1;
}

/* Edit distance of two short words. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[32], n = (unsigned)strlen(b);

	if (n >= 31 || strlen(a) >= 31)
		return 99;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned diag = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned best = diag + (*a != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diag = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

static int unknown_key(struct config_reader *r, const struct doc *c, const char *const *keys)
{
	const char *nearest = NULL;
	unsigned least = 3;

	for (size_t i = 0; keys[i]; i++) {
		unsigned d = distance(c->key, keys[i]);

		if (d < least) {
			least = d;
			nearest = keys[i];
		}
	}
	(void)err_set(r->err, ERR_INVALID, "%s:%u:%u: unknown key '%.60s'", r->source, c->key_line,
	        c->key_column, c->key);
	if (nearest)
		return err_hint(r->err, "did you mean '%s'?", nearest);
	return -1;
}

int config_map(struct config_reader *r, const struct doc *d, const char *expected, const char *const *keys)
{
	if (d->kind != DOC_MAP)
		return config_bad(r, d, expected);
	for (const struct doc *c = d->child; c; c = c->next) {
		size_t i = 0;

		while (keys[i] && strcmp(keys[i], c->key) != 0)
			i++;
		if (!keys[i])
			return unknown_key(r, c, keys);
		for (const struct doc *o = d->child; o != c; o = o->next)
			if (strcmp(o->key, c->key) == 0)
				return err_set(r->err, ERR_INVALID,
				        "%s:%u:%u: key '%s' again (first in line %u)", r->source, c->key_line,
				        c->key_column, c->key, o->key_line);
	}
	return 0;
}

const struct doc *config_child(const struct doc *map, const char *key)
{
	for (const struct doc *c = map->child; c; c = c->next)
		if (strcmp(c->key, key) == 0)
			return c;
	return NULL;
}

int config_text(struct config_reader *r, const struct doc *d, size_t min, size_t max, const char **out)
{
	char expected[80];
	char *copy;

	(void)snprintf(expected, sizeof(expected), "%zu to %zu characters of text", min, max);
	if (d->kind != DOC_SCALAR || d->text_bytes < min || d->text_bytes > max)
		return config_bad(r, d, expected);
	for (size_t i = 0; i < d->text_bytes; i++)
		if ((unsigned char)d->text[i] < 0x20 || d->text[i] == 0x7f)
			return config_bad(r, d, "text without control characters");
	copy = arena_dup(r->arena, d->text, d->text_bytes);
	if (!copy)
		return err_set(r->err, ERR_FULL, "%s is too large", r->source);
	*out = copy;
	return 0;
}

int config_text_of(
        struct config_reader *r, const struct doc *map, const char *key, bool required, const char **out)
{
	const struct doc *d = config_child(map, key);

	if (d)
		return config_text(r, d, 1, 255, out);
	if (!required)
		return 0;
	return err_set(
	        r->err, ERR_INVALID, "%s:%u:%u: '%s' is missing", r->source, map->line, map->column, key);
}

int config_count(struct config_reader *r, const struct doc *d, uint64_t min, uint64_t max, uint64_t *out)
{
	char expected[96];
	uint64_t v = 0;

	(void)snprintf(expected, sizeof(expected), "a whole number from %llu to %llu",
	        (unsigned long long)min, (unsigned long long)max);
	if (d->kind != DOC_SCALAR || d->text_bytes == 0 || d->text_bytes > 18)
		return config_bad(r, d, expected);
	for (size_t i = 0; i < d->text_bytes; i++) {
		if (!isdigit((unsigned char)d->text[i]))
			return config_bad(r, d, expected);
		v = v * 10 + (uint64_t)(d->text[i] - '0');
	}
	if (v < min || v > max)
		return config_bad(r, d, expected);
	*out = v;
	return 0;
}

int config_amount_of(struct config_reader *r, const struct doc *d, const char *resource, uint64_t *out)
{
	if (strcmp(resource, "memory") == 0 || strcmp(resource, "disk") == 0) {
		if (d->kind != DOC_SCALAR || config_bytes(d->text, out) < 0)
			return config_bad(r, d, "a size such as 512MiB or 4GiB");
		return 0;
	}
	if (d->kind != DOC_SCALAR || config_milli(d->text, out) < 0)
		return config_bad(r, d, "a number with at most three decimals, such as 4 or 0.5");
	return 0;
}

int config_name_ok(struct config_reader *r, const struct doc *d, const char *name)
{
	bool ok = isalnum((unsigned char)name[0]) && strlen(name) <= CONFIG_NAME_MAX;

	for (const char *p = name; *p; p++)
		ok = ok && (isalnum((unsigned char)*p) || strchr("-_.", *p));
	return ok ? 0 : config_bad(r, d, "a name of letters, digits, '-', '_' and '.'");
}

int config_key_name(struct config_reader *r, const struct doc *d, const char *what)
{
	struct err plain;
	struct config_reader quiet = {.arena = r->arena, .source = r->source, .err = &plain};

	if (config_name_ok(&quiet, d, d->key) < 0)
		return err_set(r->err, ERR_INVALID,
		        "%s:%u:%u: '%.60s' is no name for %s: letters, digits, '-', '_' and '.'", r->source,
		        d->key_line, d->key_column, d->key, what);
	return 0;
}

/* ---- units ---- */

/* Digits with up to three decimals, in thousandths; *end is what follows. */
static int decimal(const char *text, uint64_t *out_milli, const char **end)
{
	uint64_t v = 0, scale = 1000;
	const char *p = text;

	if (!isdigit((unsigned char)*p))
		return -1;
	for (; isdigit((unsigned char)*p); p++) {
		if (v > UINT64_MAX / 100000)
			return -1;
		v = v * 10 + (uint64_t)(*p - '0') * 1000;
	}
	if (*p == '.') {
		p++;
		if (!isdigit((unsigned char)*p))
			return -1;
		for (; isdigit((unsigned char)*p); p++) {
			scale /= 10;
			if (scale == 0)
				return -1;
			v += (uint64_t)(*p - '0') * scale;
		}
	}
	*out_milli = v;
	*end = p;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int with_unit(const char *text, const struct unit *units, uint64_t *out)
{
	const char *end;
	uint64_t milli;

	if (decimal(text, &milli, &end) < 0)
		return -1;
	for (; units->name; units++) {
		unsigned __int128 v;

		if (strcmp(units->name, end) != 0)
			continue;
		v = (unsigned __int128)milli * units->factor / 1000;
		if (v > UINT64_MAX / 2)
			return -1;
		*out = (uint64_t)v;
		return 0;
	}
	return -1;
}

int config_bytes(const char *text, uint64_t *out)
{
	static const struct unit units[] = {
	        {"", 1},
	        {"B", 1},
	        {"K", 1ull << 10},
	        {"KiB", 1ull << 10},
	        {"KB", 1000ull},
	        {"M", 1ull << 20},
	        {"MiB", 1ull << 20},
	        {"MB", 1000000ull},
	        {"G", 1ull << 30},
	        {"GiB", 1ull << 30},
	        {"GB", 1000000000ull},
	        {"T", 1ull << 40},
	        {"TiB", 1ull << 40},
	        {"TB", 1000000000000ull},
	        {NULL, 0},
	};

	return with_unit(text, units, out);
}

int config_milli(const char *text, uint64_t *out)
{
	static const struct unit units[] = {{"", 1000}, {NULL, 0}};

	return with_unit(text, units, out);
}

int config_ns(const char *text, uint64_t *out)
{
	static const struct unit units[] = {
	        {"ms", 1000000ull},
	        {"s", 1000000000ull},
	        {"m", 60ull * 1000000000ull},
	        {"h", 3600ull * 1000000000ull},
	        {"d", 86400ull * 1000000000ull},
	        {NULL, 0},
	};

	return with_unit(text, units, out);
}
