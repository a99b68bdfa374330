/* SPDX-License-Identifier: Apache-2.0 */
/* config_place - `link` and `scheduling` of the configuration, and which labels a node gives itself: see config.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/gang.h"
#include "engine/config.h"
#include "engine/config_read.h"

#define MINUTE_NS 60000000000ull
#define DAY_NS    (1440 * MINUTE_NS)

/* "22" or "22:30", in minutes of the day; NULL: no time. */
static const char *time_of_day(const char *s, uint32_t *out)
{
	uint32_t hour = 0, minute = 0, digits = 0;

	for (; *s >= '0' && *s <= '9' && digits < 2; s++, digits++)
		hour = hour * 10 + (uint32_t)(*s - '0');
	if (digits == 0 || hour > 24)
		return NULL;
	if (*s == ':') {
		if (s[1] < '0' || s[1] > '5' || s[2] < '0' || s[2] > '9')
			return NULL;
		minute = (uint32_t)(s[1] - '0') * 10 + (uint32_t)(s[2] - '0');
		s += 3;
	}
	*out = (hour * 60 + minute) % 1440;
	return hour * 60 + minute <= 1440 ? s : NULL;
}

int config_hours(const char *text, uint32_t *out_from, uint32_t *out_to)
{
	uint32_t from, to;
	const char *s = time_of_day(text, &from);

	if (!s || *s != '-' || !(s = time_of_day(s + 1, &to)) || *s || from == to)
		return -1;
	*out_from = from;
	*out_to = to;
	return 0;
}

int config_link_read(struct config_reader *r, const struct doc *d, struct config_link *l)
{
	static const char *const keys[] = {"bytes", "per", "hours", "cost", "neighbours", NULL};
	const struct doc *v;
	uint64_t n = 0;

	if (config_map(r, d, "a map with bytes, per, hours, cost and neighbours", keys) < 0)
		return -1;
	v = config_child(d, "bytes");
	if (v && (v->kind != DOC_SCALAR || config_bytes(v->text, &l->bytes) < 0 || l->bytes == 0))
		return config_bad(r, v, "a size such as 2GiB");
	v = config_child(d, "per");
	l->per_ns = DAY_NS;
	if (v && (v->kind != DOC_SCALAR || config_ns(v->text, &l->per_ns) < 0 || l->per_ns < MINUTE_NS ||
	                 l->per_ns > 366 * DAY_NS))
		return config_bad(r, v, "a time span from 1m to 366d");
	if (v && !l->bytes)
		return config_bad(r, v, "'bytes' beside it: how many may come in each such time");
	v = config_child(d, "hours");
	if (v && (v->kind != DOC_SCALAR || config_hours(v->text, &l->from_min, &l->to_min) < 0))
		return config_bad(r, v, "hours of the day in UTC such as 22-06 or 22:30-06:00");
	if (v && !l->bytes)
		l->bytes = UINT64_MAX >> 1; /* as many as it likes, at those hours */
	v = config_child(d, "cost");
	if (v && config_count(r, v, 0, 1000, &n) < 0)
		return -1;
	l->cost = (uint32_t)n;
	v = config_child(d, "neighbours");
	if (v && v->kind == DOC_SCALAR && strcmp(v->text, "no") == 0)
		l->neighbours = CONFIG_NO_NEIGHBOURS;
	else if (v && config_count(r, v, 1, 65535, &n) < 0)
		return -1;
	else if (v)
		l->neighbours = (uint32_t)n;
	return 0;
}

int config_scheduling_read(struct config_reader *r, const struct doc *d, uint32_t *out_pack)
{
	static const char *const keys[] = {"pack", NULL};
	const struct doc *v;

	if (config_map(r, d, "a map with pack", keys) < 0)
		return -1;
	v = config_child(d, "pack");
	for (uint32_t i = 0; v && v->kind == DOC_SCALAR && i < SPEC_PACK_WORDS; i++)
		if (strcmp(v->text, spec_pack_words[i]) == 0) {
			*out_pack = i + 1;
			return 0;
		}
	return v ? config_bad(r, v, "binpack, spread or balance") : 0;
}

int config_reach_read(struct config_reader *r, const struct doc *root, struct config *c)
{
	static const char *const keys[] = {"ports", NULL};
	const struct doc *v = config_child(root, "address"), *g = config_child(root, "gang");
	unsigned first = 0, last = 0;
	int end = 0;

	if (v && config_text(r, v, 1, GANG_ADDRESS_MAX, &c->address) < 0)
		return -1;
	if (v && !gang_address_ok(c->address))
		return config_bad(r, v, "a name or an address such as 10.0.0.4, without a port");
	if (g && config_map(r, g, "a map with ports", keys) < 0)
		return -1;
	v = g ? config_child(g, "ports") : NULL;
	if (!v)
		return 0;
	if (v->kind != DOC_SCALAR || sscanf(v->text, "%5u-%5u%n", &first, &last, &end) != 2 ||
	        v->text[end] != '\0' || first < 1 || last < first || last > 65535 || last - first >= 1024)
		return config_bad(r, v, "at most 1024 ports such as 7500-7999");
	c->gang_port = first;
	c->gang_ports = last - first + 1;
	return 0;
}

bool config_label_reserved(const char *key)
{
	static const char *const own[] = {"name", "os", "arch", "kernel", "version", "not"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcmp(key, own[i]) == 0)
			return true;
	return false;
}

int config_labels_ok(struct config_reader *r, const struct doc *d)
{
	for (const struct doc *c = d->child; c; c = c->next)
		if (config_label_reserved(c->key))
			return config_bad(r, c,
			        "another key: a node says itself what its name, os, arch, kernel "
			        "and version are, and 'not' has a meaning in job files");
	return 0;
}
