/* SPDX-License-Identifier: Apache-2.0 */
/* config - see config.h. */
#include "engine/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/note.h"
#include "engine/config_read.h"
#include "io/pg.h"

#define DAY_NS (86400ull * 1000000000ull)

void config_default(struct config *c)
{
	memset(c, 0, sizeof(*c));
	c->name = c->record = c->origin = c->policy = c->witness = c->ledger_listen = c->address = "";
	c->fabric_ns = 60ull * 1000000000ull;
	c->mirror_bytes = CONFIG_MIRROR;
	c->history_age_ns = 30 * DAY_NS;
	c->history_bytes = 1ull << 30;
	c->blobs_age_ns = 7 * DAY_NS;
	c->memory_bytes = 8ull << 30;
	c->disk_reserve_bytes = 64ull << 20;
}

int config_items(struct config_reader *r, const struct doc *d, enum doc_kind kind, size_t item_bytes,
        void *out_items, size_t *out_n)
{
	size_t n = 0;
	void *p;

	if (d->kind != kind)
		return config_bad(r, d, kind == DOC_MAP ? "a map of keys and values" : "a list");
	for (const struct doc *c = d->child; c; c = c->next)
		n++;
	p = arena_calloc(r->arena, n, item_bytes);
	if (!p)
		return err_set(r->err, ERR_FULL, "%s is too large", r->source);
	memcpy(out_items, &p, sizeof(p));
	*out_n = n;
	return 0;
}

static int read_amounts(
        struct config_reader *r, const struct doc *d, struct config_amount **out, size_t *out_n)
{
	size_t i = 0;

	if (config_items(r, d, DOC_MAP, sizeof(**out), out, out_n) < 0)
		return -1;
	for (const struct doc *c = d->child; c; c = c->next, i++) {
		(*out)[i].resource = c->key;
		if (config_key_name(r, c, "a resource") < 0 ||
		        config_amount_of(r, c, c->key, &(*out)[i].amount) < 0)
			return -1;
	}
	return 0;
}

static int read_pairs(struct config_reader *r, const struct doc *d, struct config_rename **out, size_t *out_n)
{
	size_t i = 0;

	if (config_items(r, d, DOC_MAP, sizeof(**out), out, out_n) < 0)
		return -1;
	for (const struct doc *c = d->child; c; c = c->next, i++) {
		(*out)[i].from = c->key;
		if (config_text(r, c, 1, 255, &(*out)[i].to) < 0)
			return -1;
	}
	return 0;
}

static int read_add(struct config_reader *r, const struct doc *d, struct config *c)
{
	static const char *const keys[] = {"resource", "id", "model", "share", NULL};
	size_t i = 0;

	if (config_items(r, d, DOC_LIST, sizeof(*c->add), &c->add, &c->n_add) < 0)
		return -1;
	for (const struct doc *it = d->child; it; it = it->next, i++) {
		struct config_device *dev = &c->add[i];
		const struct doc *share;

		if (config_map(r, it, "a device such as {resource: laser, id: L-17}", keys) < 0)
			return -1;
		dev->model = "";
		dev->milli = 1000;
		if (config_text_of(r, it, "resource", true, &dev->resource) < 0 ||
		        config_text_of(r, it, "id", true, &dev->id) < 0 ||
		        config_text_of(r, it, "model", false, &dev->model) < 0)
			return -1;
		share = config_child(it, "share");
		if (share && (config_amount_of(r, share, "cpu", &dev->milli) < 0 || dev->milli == 0 ||
		                     dev->milli > 1000))
			return config_bad(r, share, "more than 0 and at most 1");
	}
	return 0;
}

static int read_devices(struct config_reader *r, const struct doc *d, struct config *c)
{
	static const char *const keys[] = {"add", "hide", "rename", NULL};
	const struct doc *v;
	size_t i = 0;

	if (config_map(r, d, "a map with add, hide and rename", keys) < 0)
		return -1;
	v = config_child(d, "add");
	if (v && read_add(r, v, c) < 0)
		return -1;
	v = config_child(d, "rename");
	if (v && read_pairs(r, v, &c->rename, &c->n_rename) < 0)
		return -1;
	v = config_child(d, "hide");
	if (!v)
		return 0;
	if (config_items(r, v, DOC_LIST, sizeof(*c->hide), &c->hide, &c->n_hide) < 0)
		return -1;
	for (const struct doc *it = v->child; it; it = it->next, i++)
		if (config_text(r, it, 1, 255, &c->hide[i]) < 0)
			return -1;
	return 0;
}

static int read_namespaces(struct config_reader *r, const struct doc *d, struct config *c)
{
	static const char *const keys[] = {"weight", "quota", "local", "lend", NULL};
	size_t i = 0;

	if (config_items(r, d, DOC_MAP, sizeof(*c->namespaces), &c->namespaces, &c->n_namespaces) < 0)
		return -1;
	for (const struct doc *it = d->child; it; it = it->next, i++) {
		struct config_namespace *ns = &c->namespaces[i];
		const struct doc *v;
		uint64_t weight = 1;

		ns->name = it->key;
		if (config_key_name(r, it, "a namespace") < 0 ||
		        config_map(r, it, "a map with weight, quota, local and lend", keys) < 0)
			return -1;
		v = config_child(it, "weight");
		if (v && config_count(r, v, 1, 1000000, &weight) < 0)
			return -1;
		ns->weight = (uint32_t)weight;
		v = config_child(it, "quota");
		if (v && read_amounts(r, v, &ns->quota, &ns->n_quota) < 0)
			return -1;
		v = config_child(it, "local");
		if (v && read_amounts(r, v, &ns->local, &ns->n_local) < 0)
			return -1;
		v = config_child(it, "lend");
		if (v && (v->kind != DOC_SCALAR || config_ns(v->text, &ns->lend_ns) < 0))
			return config_bad(r, v, "a time such as 1h or 7d");
	}
	return 0;
}

static int read_policy(struct config_reader *r, const struct doc *d, uint64_t *age_ns, uint64_t *bytes)
{
	static const char *const keys[] = {"age", "bytes", NULL};
	const struct doc *v;

	if (config_map(r, d, "a map with age and bytes", keys) < 0)
		return -1;
	v = config_child(d, "age");
	if (v && (v->kind != DOC_SCALAR || config_ns(v->text, age_ns) < 0))
		return config_bad(r, v, "a time such as 12h or 30d");
	v = config_child(d, "bytes");
	if (v && (v->kind != DOC_SCALAR || config_bytes(v->text, bytes) < 0))
		return config_bad(r, v, "a size such as 500MiB or 10GiB");
	return 0;
}

static int read_limits(struct config_reader *r, const struct doc *d, struct config *c)
{
	static const char *const keys[] = {"memory", "jobs", "leases", "reserve", NULL};
	const struct doc *v;
	uint64_t n;

	if (config_map(r, d, "a map with memory, jobs, leases and reserve", keys) < 0)
		return -1;
	v = config_child(d, "memory");
	if (v && (v->kind != DOC_SCALAR || config_bytes(v->text, &c->memory_bytes) < 0 ||
	                 c->memory_bytes < (64u << 20) || c->memory_bytes > (1ull << 42)))
		return config_bad(r, v, "a size from 64MiB to 4TiB");
	v = config_child(d, "reserve");
	if (v && (v->kind != DOC_SCALAR || config_bytes(v->text, &c->disk_reserve_bytes) < 0))
		return config_bad(r, v, "a size such as 64MiB");
	v = config_child(d, "jobs");
	if (v) {
		if (config_count(r, v, 1, 100000000, &n) < 0)
			return -1;
		c->jobs_max = (uint32_t)n;
	}
	v = config_child(d, "leases");
	if (v) {
		if (config_count(r, v, 1, 10000000, &n) < 0)
			return -1;
		c->leases_max = (uint32_t)n;
	}
	return 0;
}

static int read_ledger(struct config_reader *r, const struct doc *d, struct config *c)
{
	static const char *const keys[] = {
	        "origin", "policy", "witness", "fabric", "anchors", "listen", "entries", NULL};
	struct sockaddr_storage sa;
	const struct doc *v;
	socklen_t n;

	if (config_map(r, d, "a map with origin, policy, witness, fabric, anchors, listen and entries",
	            keys) < 0 ||
	        config_text_of(r, d, "policy", false, &c->policy) < 0 ||
	        config_text_of(r, d, "witness", false, &c->witness) < 0)
		return -1;
	v = config_child(d, "listen");
	if (v && (v->kind != DOC_SCALAR || config_address(v->text, &sa, &n) < 0))
		return config_bad(r, v, "an address and a port such as 127.0.0.1:8700 or '[::]:8700'");
	if (v && config_text(r, v, 1, LISTEN_MAX, &c->ledger_listen) < 0)
		return -1;
	v = config_child(d, "entries");
	if (v && (v->kind != DOC_SCALAR || (strcmp(v->text, "public") != 0 && strcmp(v->text, "owner") != 0)))
		return config_bad(r, v, "public or owner");
	c->ledger_entries_public = v && strcmp(v->text, "public") == 0;
	v = config_child(d, "origin");
	if (v && (config_text(r, v, 1, ORIGIN_MAX, &c->origin) < 0))
		return -1;
	if (v && !note_name_ok(c->origin, strlen(c->origin)))
		return config_bad(r, v, "a name such as example.com/press-4, without spaces and '+'");
	v = config_child(d, "fabric");
	if (v && config_fabric(r, v, c) < 0)
		return -1;
	v = config_child(d, "anchors");
	return v ? config_anchors(r, v, &c->anchors, &c->n_anchors) : 0;
}

static int read_record(struct config_reader *r, const struct doc *root, struct config *c)
{
	const struct doc *v = config_child(root, "record");
	struct err e;

	/* What is wrong with it is said without it: it may hold a password. */
	if (v && (config_text(r, v, 1, PG_URL_MAX, &c->record) < 0))
		return -1;
	if (v && pg_url_check(c->record, &e) < 0)
		return err_set(
		        r->err, ERR_INVALID, "%s:%u:%u: 'record': %s", r->source, v->line, v->column, e.msg);
	v = config_child(root, "standby");
	if (v && (v->kind != DOC_SCALAR || (strcmp(v->text, "yes") != 0 && strcmp(v->text, "no") != 0)))
		return config_bad(r, v, "yes or no");
	c->standby = v && strcmp(v->text, "yes") == 0;
	if (c->standby && !c->record[0])
		return config_bad(r, v, "a 'record' beside it: what to stand by for");
	return 0;
}

static int read_all(struct config_reader *r, const struct doc *root, struct config *c)
{
	static const char *const keys[] = {"name", "labels", "ledger", "capacity", "devices", "namespaces",
	        "history", "blobs", "link", "scheduling", "limits", "record", "standby", "address", "gang",
	        NULL};
	const struct doc *v;

	if (config_map(r, root, "a map of keys and values", keys) < 0)
		return -1;
	v = config_child(root, "name");
	if (v && (config_text(r, v, 1, CONFIG_NAME_MAX, &c->name) < 0 || config_name_ok(r, v, c->name) < 0))
		return -1;
	v = config_child(root, "labels");
	if (v && (read_pairs(r, v, &c->labels, &c->n_labels) < 0 || config_labels_ok(r, v) < 0))
		return -1;
	if (read_record(r, root, c) < 0)
		return -1;
	v = config_child(root, "ledger");
	if (v && read_ledger(r, v, c) < 0)
		return -1;
	v = config_child(root, "capacity");
	if (v && read_amounts(r, v, &c->capacity, &c->n_capacity) < 0)
		return -1;
	v = config_child(root, "devices");
	if (v && read_devices(r, v, c) < 0)
		return -1;
	v = config_child(root, "namespaces");
	if (v && read_namespaces(r, v, c) < 0)
		return -1;
	v = config_child(root, "history");
	if (v && read_policy(r, v, &c->history_age_ns, &c->history_bytes) < 0)
		return -1;
	v = config_child(root, "blobs");
	if (v && read_policy(r, v, &c->blobs_age_ns, &c->blobs_bytes) < 0)
		return -1;
	v = config_child(root, "link");
	if (v && config_link_read(r, v, &c->link) < 0)
		return -1;
	v = config_child(root, "scheduling");
	if (v && config_scheduling_read(r, v, &c->pack) < 0)
		return -1;
	if (config_reach_read(r, root, c) < 0)
		return -1;
	v = config_child(root, "limits");
	return v ? read_limits(r, v, c) : 0;
}

int config_from_doc(
        struct arena *a, const struct doc *root, const char *source, struct config *c, struct err *e)
{
	struct config_reader r = {.arena = a, .source = source, .err = e};

	config_default(c);
	if (!root || root->kind == DOC_NULL)
		return 0;
	return read_all(&r, root, c);
}
