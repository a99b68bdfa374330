/* SPDX-License-Identifier: Apache-2.0 */
/* config_anchors - `ledger: anchors` of the configuration: see config.h. */
#include <string.h>

#include "engine/config.h"
#include "engine/config_read.h"
#include "io/http.h"

#define SECOND_NS 1000000000ull
#define HOUR_NS   (3600 * SECOND_NS)

static int read_url(struct config_reader *r, const struct doc *d, const char **out)
{
	if (config_text(r, d, 1, HTTP_URL_MAX, out) < 0)
		return -1;
	return http_url_ok(*out) ? 0 : config_bad(r, d, "an address such as https://HOST/PATH");
}

/* One address, or a list of them. */
static int read_urls(
        struct config_reader *r, const struct doc *map, const char *key, bool many, struct config_anchor *a)
{
	const struct doc *v = config_child(map, key);
	size_t i = 0;

	if (!v)
		return err_set(r->err, ERR_INVALID,
		        "%s:%u:%u: '%s' is missing: an address such as https://HOST", r->source, map->line,
		        map->column, key);
	if (v->kind == DOC_SCALAR) {
		a->urls = arena_calloc(r->arena, 1, sizeof(*a->urls));
		a->n_urls = 1;
		return a->urls ? read_url(r, v, a->urls)
		               : err_set(r->err, ERR_FULL, "%s is too large", r->source);
	}
	if (!many)
		return config_bad(r, v, "one address");
	if (config_items(r, v, DOC_LIST, sizeof(*a->urls), &a->urls, &a->n_urls) < 0)
		return -1;
	if (a->n_urls == 0 || a->n_urls > CONFIG_URLS_MAX)
		return config_bad(r, v, "1 to 8 addresses");
	for (const struct doc *c = v->child; c; c = c->next)
		if (read_url(r, c, &a->urls[i++]) < 0)
			return -1;
	return 0;
}

static int read_time(struct config_reader *r, const struct doc *map, const char *key, uint64_t least,
        uint64_t most, const char *expected, uint64_t *out)
{
	const struct doc *v = config_child(map, key);

	if (v && (v->kind != DOC_SCALAR || config_ns(v->text, out) < 0 || *out < least || *out > most))
		return config_bad(r, v, expected);
	return 0;
}

static int read_mirror(struct config_reader *r, const struct doc *map, struct config *c)
{
	const struct doc *v = config_child(map, "mirror");

	if (!v)
		return 0;
	if (v->kind == DOC_SCALAR && strcmp(v->text, "no") == 0) {
		c->mirror_bytes = 0;
		return 0;
	}
	c->mirror_said = true;
	if (v->kind == DOC_SCALAR && strcmp(v->text, "yes") == 0)
		return 0;
	if (v->kind != DOC_SCALAR || config_bytes(v->text, &c->mirror_bytes) < 0 ||
	        c->mirror_bytes < (1u << 20) || c->mirror_bytes > (1ull << 44))
		return config_bad(r, v, "yes, no, or a size from 1MiB to 16TiB");
	return 0;
}

int config_fabric(struct config_reader *r, const struct doc *d, struct config *c)
{
	static const char *const keys[] = {"every", "mirror", NULL};

	if (d->kind == DOC_SCALAR && strcmp(d->text, "no") == 0) {
		c->fabric_ns = 0;
		return 0;
	}
	if (d->kind != DOC_MAP)
		return config_bad(r, d, "no, or a map such as {every: 60s}");
	if (config_map(r, d, "a map with every and mirror", keys) < 0 || read_mirror(r, d, c) < 0)
		return -1;
	return read_time(
	        r, d, "every", SECOND_NS, 24 * HOUR_NS, "a time from 1s to 1d such as 60s", &c->fabric_ns);
}

/* A price in wei: "30gwei", "1.5gwei", "1000000wei". */
static int read_price(struct config_reader *r, const struct doc *map, const char *key, uint64_t *out)
{
	static const char expected[] = "a price of a unit of gas such as 30gwei or 1000000wei";
	const struct doc *v = config_child(map, key);
	char number[32];
	uint64_t milli, wei = 0;
	size_t n;

	if (!v)
		return 0;
	n = v->kind == DOC_SCALAR ? strspn(v->text, "0123456789.") : 0;
	if (n == 0 || n >= sizeof(number))
		return config_bad(r, v, expected);
	memcpy(number, v->text, n);
	number[n] = '\0';
	if (config_milli(number, &milli) < 0)
		return config_bad(r, v, expected);
	if (strcmp(v->text + n, "gwei") == 0 && milli <= 1000000000000)
		wei = milli * 1000000;
	else if (strcmp(v->text + n, "wei") == 0 && milli % 1000 == 0)
		wei = milli / 1000;
	else
		return config_bad(r, v, expected);
	*out = wei;
	return 0;
}

static int read_number(struct config_reader *r, const struct doc *map, const char *key, uint64_t min,
        uint64_t max, uint64_t *out)
{
	const struct doc *v = config_child(map, key);

	return v ? config_count(r, v, min, max, out) : 0;
}

/* Where authorities' roots are looked for: a file, its whole path. */
static int read_ca(struct config_reader *r, const struct doc *map, const char **out)
{
	const struct doc *v = config_child(map, "ca");

	if (!v)
		return 0;
	if (config_text(r, v, 1, 4000, out) < 0)
		return -1;
	return **out == '/' ? 0 : config_bad(r, v, "the path of a file, from '/' on");
}

static int read_common(struct config_reader *r, const struct doc *d, struct config_anchor *a)
{
	if (read_ca(r, d, &a->ca) < 0 || read_time(r, d, "every", SECOND_NS, 366 * 24 * HOUR_NS,
	                                         "a time from 1s to 366d such as 1h", &a->every_ns) < 0)
		return -1;
	return read_time(
	        r, d, "timeout", SECOND_NS / 10, 600 * SECOND_NS, "a time from 100ms to 10m", &a->timeout_ns);
}

static int read_chain(struct config_reader *r, const struct doc *d, struct config_anchor *a)
{
	static const char *const keys[] = {"rpc", "id", "contract", "every", "confirmations", "fee", "tip",
	        "poll", "replace", "timeout", "ca", NULL};
	struct anchor_config *c = &a->chain;
	const struct doc *v;
	struct err why;

	anchor_config_usual(c);
	if (config_map(r, d, "a chain such as {rpc: https://HOST, id: 1}", keys) < 0 ||
	        read_urls(r, d, "rpc", true, a) < 0 || read_common(r, d, a) < 0 ||
	        read_number(r, d, "id", 1, INT64_MAX, &c->chain_id) < 0 ||
	        read_number(r, d, "confirmations", 1, 1000000, &c->confirmations) < 0 ||
	        read_price(r, d, "fee", &c->fee_max) < 0 || read_price(r, d, "tip", &c->tip_least) < 0 ||
	        read_time(r, d, "poll", SECOND_NS / 20, HOUR_NS, "a time from 50ms to 1h", &c->poll_ns) < 0 ||
	        read_time(r, d, "replace", SECOND_NS / 20, 24 * HOUR_NS, "a time from 50ms to 24h",
	                &c->replace_ns) < 0)
		return -1;
	if (!c->chain_id)
		return err_set(r->err, ERR_INVALID,
		        "%s:%u:%u: 'id' is missing: the chain's, 1 for Ethereum's main network", r->source,
		        d->line, d->column);
	v = config_child(d, "contract");
	if (v && (v->kind != DOC_SCALAR || evm_address_parse(v->text, v->text_bytes, c->contract, NULL) < 0))
		return config_bad(
		        r, v, "an address: 0x and 40 hexadecimal digits, with the right capitals or none");
	a->has_contract = v != NULL;
	if (anchor_config_check(c, &why) < 0)
		return err_set(r->err, ERR_INVALID, "%s:%u:%u: %s", r->source, d->line, d->column, why.msg);
	return 0;
}

static int read_authority(struct config_reader *r, const struct doc *d, struct config_anchor *a)
{
	static const char *const keys[] = {"url", "ca", "every", "timeout", NULL};

	if (config_map(r, d, "an authority such as {url: https://HOST/tsr, ca: /etc/osier/tsa.pem}", keys) <
	                0 ||
	        read_urls(r, d, "url", false, a) < 0 || read_common(r, d, a) < 0)
		return -1;
	return a->ca ? 0
	             : err_set(r->err, ERR_INVALID,
	                       "%s:%u:%u: 'ca' is missing: a file with the certificates that vouch for the "
	                       "authority",
	                       r->source, d->line, d->column);
}

static int read_calendars(struct config_reader *r, const struct doc *d, struct config_anchor *a)
{
	static const char *const keys[] = {"urls", "least", "every", "timeout", "ca", NULL};
	uint64_t least = 1;

	a->every_ns = 24 * HOUR_NS;
	if (config_map(r, d, "calendars such as {urls: [https://HOST]}", keys) < 0 ||
	        read_urls(r, d, "urls", true, a) < 0 || read_number(r, d, "least", 1, a->n_urls, &least) < 0)
		return -1;
	for (size_t i = 0; i < a->n_urls; i++)
		if (a->urls[i][strlen(a->urls[i]) - 1] == '/')
			return config_bad(r, config_child(d, "urls"), "addresses without a slash at the end");
	a->least = (uint32_t)least;
	return read_common(r, d, a);
}

/* Two of a kind at one place would be in each other's way. */
static bool same(const struct config_anchor *a, const struct config_anchor *b)
{
	char of_a[HTTP_ORIGIN_MAX], of_b[HTTP_ORIGIN_MAX];

	if (a->kind != b->kind)
		return false;
	http_origin(a->urls[0], of_a);
	http_origin(b->urls[0], of_b);
	return a->kind == CONFIG_CALENDARS ||
	       (a->kind == CONFIG_CHAIN ? a->chain.chain_id == b->chain.chain_id : strcmp(of_a, of_b) == 0);
}

int config_anchors(struct config_reader *r, const struct doc *d, struct config_anchor **out, size_t *out_n)
{
	static const char *const keys[] = {"chain", "authority", "calendars", NULL};
	static int (*const read[])(struct config_reader *, const struct doc *, struct config_anchor *) = {
	        [CONFIG_CHAIN] = read_chain,
	        [CONFIG_AUTHORITY] = read_authority,
	        [CONFIG_CALENDARS] = read_calendars};
	static const char one[] =
	        "one of chain, authority and calendars, such as {chain: {rpc: https://HOST, id: 1}}";
	size_t i = 0;

	if (config_items(r, d, DOC_LIST, sizeof(**out), out, out_n) < 0)
		return -1;
	if (*out_n > CONFIG_ANCHORS_MAX)
		return config_bad(r, d, "at most 8 anchors");
	for (const struct doc *it = d->child; it; it = it->next, i++) {
		struct config_anchor *a = &(*out)[i];

		if (config_map(r, it, one, keys) < 0)
			return -1;
		if (!it->child || it->child->next)
			return config_bad(r, it, one);
		a->every_ns = HOUR_NS;
		a->timeout_ns = 30 * SECOND_NS;
		while (strcmp(keys[a->kind], it->child->key) != 0)
			a->kind++;
		if (read[a->kind](r, it->child, a) < 0)
			return -1;
		for (size_t k = 0; k < i; k++)
			if (same(a, &(*out)[k]))
				return config_bad(
				        r, it, "each chain and authority once, and calendars in one item");
	}
	return 0;
}
