/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity - see identity.h.
 *
 *   struct identity | tokens | nodes     in one region; places that were never used are zero
 *
 * As bytes: a record for each place in use, by place: 'T', 'N' or 'S' (a standby), then fields; numbers are 8 bytes, little-endian; names a
 * length byte and bytes. A token for a standby has STANDBY_BIT in its state.
 */
#include "core/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define STANDBY_BIT 0x80u

struct token {
	uint8_t hash[32];
	uint64_t expires_ns;
	uint8_t used, state; /* used: the place is taken; enum identity_token_state */
	uint8_t standby;
	char by[IDENTITY_NAME_MAX + 1];
};

struct member {
	char name[IDENTITY_NAME_MAX + 1]; /* "": the place is free */
	uint8_t key[32], journal[32];
	uint8_t removed;
	uint32_t n_certs;
	struct identity_cert cert[IDENTITY_CERTS];
};

struct standby {
	char name[IDENTITY_NAME_MAX + 1], origin[IDENTITY_ORIGIN + 1];
	uint32_t broker_port;
};

struct identity {
	struct identity_limits limits;
	uint32_t standbys;
	struct standby standby[IDENTITY_STANDBYS];
	uint32_t tokens, nodes; /* places that were ever used: those beyond are zero */
	struct token *token;
	struct member *node;
};

struct identity_limits identity_limits(uint32_t nodes_max)
{
	struct identity_limits l = {.tokens = nodes_max / 4, .nodes = nodes_max};

	if (l.tokens < 16)
		l.tokens = 16;
	if (l.tokens > 4096)
		l.tokens = 4096;
	return l;
}

size_t identity_bytes(const struct identity_limits *l)
{
	return sizeof(struct identity) + l->tokens * sizeof(struct token) + l->nodes * sizeof(struct member);
}

struct identity *identity_new(void *mem, const struct identity_limits *l)
{
	struct identity *s = mem;

	CHECK(((uintptr_t)mem & 7) == 0);
	s->limits = *l;
	s->token = (struct token *)(void *)(s + 1);
	s->node = (struct member *)(void *)(s->token + l->tokens);
	return s;
}

/* ---- finding ---- */

/* As long for any 32 bytes. */
static bool same(const uint8_t a[32], const uint8_t b[32])
{
	uint8_t d = 0;

	for (unsigned i = 0; i < 32; i++)
		d = (uint8_t)(d | (a[i] ^ b[i]));
	return d == 0;
}

static struct token *token_find(const struct identity *s, const uint8_t hash[32])
{
	struct token *found = NULL;

	for (uint32_t i = 0; i < s->tokens; i++)
		if (s->token[i].used && same(s->token[i].hash, hash))
			found = &s->token[i];
	return found;
}

/* A place for a token: a free one, else that of the token that expired first. */
static struct token *token_place(const struct identity *s, uint64_t now)
{
	struct token *oldest = NULL;

	for (uint32_t i = 0; i < s->tokens; i++) {
		if (!s->token[i].used)
			return &s->token[i];
		if (s->token[i].expires_ns < now && (!oldest || s->token[i].expires_ns < oldest->expires_ns))
			oldest = &s->token[i];
	}
	return s->tokens < s->limits.tokens ? &s->token[s->tokens] : oldest;
}

static struct member *node_find(const struct identity *s, const char *name)
{
	for (uint32_t i = 0; i < s->nodes; i++)
		if (strcmp(s->node[i].name, name) == 0)
			return &s->node[i];
	return NULL;
}

static bool spent(const struct member *m, uint64_t now)
{
	if (!m->removed)
		return false;
	for (uint32_t i = 0; i < m->n_certs; i++)
		if (m->cert[i].not_after_ns >= now)
			return false;
	return true;
}

static struct member *node_place(const struct identity *s, uint64_t now)
{
	if (s->nodes < s->limits.nodes)
		return &s->node[s->nodes];
	for (uint32_t i = 0; i < s->nodes; i++)
		if (spent(&s->node[i], now))
			return &s->node[i];
	return NULL;
}

/* A place among the node's certificates: those that expired say nothing any more. */
static uint32_t cert_place(const struct member *m, uint64_t now)
{
	for (uint32_t i = 0; i < m->n_certs; i++)
		if (m->cert[i].not_after_ns < now)
			return i;
	return m->n_certs;
}

bool identity_token(const struct identity *s, uint32_t i, struct identity_token *out)
{
	const struct token *t = &s->token[i];

	if (i >= s->tokens)
		return false;
	*out = (struct identity_token){.expires_ns = t->expires_ns,
	        .state = (enum identity_token_state)t->state,
	        .used_by = t->by,
	        .standby = t->standby};
	memcpy(out->hash, t->hash, sizeof(out->hash));
	return true;
}

static void view(const struct member *m, struct identity_node *out)
{
	*out = (struct identity_node){.name = m->name,
	        .key = m->key,
	        .journal = m->journal,
	        .removed = m->removed,
	        .n_certs = m->n_certs,
	        .certs = m->cert};
}

bool identity_node(const struct identity *s, uint32_t i, struct identity_node *out)
{
	if (i >= s->nodes)
		return false;
	view(&s->node[i], out);
	return true;
}

bool identity_node_named(const struct identity *s, const char *name, struct identity_node *out)
{
	const struct member *m = *name ? node_find(s, name) : NULL;

	if (m)
		view(m, out);
	return m != NULL;
}

static struct standby *standby_find(const struct identity *s, const char *name)
{
	for (uint32_t i = 0; i < s->standbys; i++)
		if (strcmp(s->standby[i].name, name) == 0)
			return (struct standby *)(uintptr_t)&s->standby[i];
	return NULL;
}

bool identity_standby(const struct identity *s, uint32_t i, struct identity_standby *out)
{
	if (i >= s->standbys)
		return false;
	*out = (struct identity_standby){.name = s->standby[i].name,
	        .origin = s->standby[i].origin,
	        .broker_port = s->standby[i].broker_port};
	return true;
}

bool identity_stands_by(const struct identity *s, const char *name)
{
	return standby_find(s, name) != NULL;
}

/* ---- may it? ---- */

int identity_may_token(const struct identity *s, uint64_t now_ns, const Wire__TokenSet *m, struct err *e)
{
	const struct token *t;

	if (m->hash.len != 32 || *m->used_by)
		return err_set(e, ERR_INVALID, "a token is known by a hash of 32 bytes");
	t = token_find(s, m->hash.data);
	if (m->revoked) {
		if (!t || t->state != TOKEN_OPEN)
			return err_set(e, ERR_NOTFOUND, "there is no such token that could still be used");
		return 0;
	}
	if (t)
		return err_set(e, ERR_EXISTS, "there is such a token already");
	if (m->expires_ns <= now_ns)
		return err_set(e, ERR_INVALID, "the token would have expired before it could be used");
	if (token_place(s, now_ns))
		return 0;
	(void)err_set(e, ERR_FULL, "%u tokens have not expired yet, more are not kept", s->limits.tokens);
	return err_hint(e, "wait until some have, or give them a shorter --ttl");
}

/* Room for a certificate of this node, which has joined. */
static int room_for_cert(const struct member *m, uint64_t now_ns, struct err *e)
{
	if (cert_place(m, now_ns) < IDENTITY_CERTS)
		return 0;
	(void)err_set(e, ERR_FULL, "'%s' has %u certificates that have not expired: it asks too often",
	        m->name, IDENTITY_CERTS);
	return err_hint(e, "wait until one has expired; two copies of one node ask like that, too");
}

static int name_free(const struct identity *s, uint64_t now_ns, const Wire__CertSet *m, struct err *e)
{
	const struct member *has = node_find(s, m->node);

	if (has && !has->removed && !same(has->key, m->key.data)) {
		(void)err_set(e, ERR_EXISTS, "another node has joined as '%s'", m->node);
		return err_hint(e, "choose another name: osier join ... --name NAME");
	}
	if (has)
		return room_for_cert(has, now_ns, e);
	if (node_place(s, now_ns))
		return 0;
	(void)err_set(e, ERR_FULL, "%u nodes have joined, more are not taken", s->limits.nodes);
	return err_hint(e, "remove those that are gone: osier node remove NAME");
}

static int cert_whole(const Wire__CertSet *m, struct err *e)
{
	size_t n = strnlen(m->node, IDENTITY_NAME_MAX + 1);

	if (n == 0 || n > IDENTITY_NAME_MAX || m->serial.len != IDENTITY_SERIAL || m->sha256.len != 32 ||
	        m->key.len != 32 || m->journal.len != 32 || (m->was.len != 0 && m->was.len != 32))
		return err_set(e, ERR_INVALID, "the certificate is not described as it must be");
	return 0;
}

/* Is the token one for what wants to join? */
static int fits(const struct identity *s, const struct token *t, const Wire__CertSet *m, struct err *e)
{
	if (t->standby && !*m->standby) {
		(void)err_set(e, ERR_DENIED, "the token is one for a standby of the hub, not for a node");
		return err_hint(e, "osier hub --standby LINE; 'osier hub token' on the hub lets a node join");
	}
	if (!t->standby && *m->standby) {
		(void)err_set(e, ERR_DENIED, "the token lets a node join, not a standby of the hub");
		return err_hint(e, "'osier hub token --standby' on the hub prints one that does");
	}
	if (!*m->standby || s->standbys < IDENTITY_STANDBYS || standby_find(s, m->node))
		return 0;
	(void)err_set(e, ERR_FULL, "%u stand by already, more do not", IDENTITY_STANDBYS);
	return err_hint(e, "remove those that are gone: osier hub revoke NAME");
}

int identity_may_join(const struct identity *s, uint64_t now_ns, const uint8_t hash[32],
        const Wire__CertSet *m, bool *out_again, struct err *e)
{
	const struct token *t = token_find(s, hash);
	const struct member *has;

	if (cert_whole(m, e) < 0)
		return -1;
	if (!t) {
		(void)err_set(e, ERR_DENIED, "this hub knows no such token");
		return err_hint(e, "'osier hub token' on the hub prints a new one");
	}
	if (fits(s, t, m, e) < 0)
		return -1;
	if (t->state == TOKEN_REVOKED)
		return err_set(e, ERR_EXISTS, "the token was withdrawn");
	if (now_ns > t->expires_ns) {
		(void)err_set(e, ERR_TIMEOUT, "the token expired %" PRIu64 " s ago",
		        (now_ns - t->expires_ns) / 1000000000u);
		return err_hint(e, "'osier hub token' on the hub prints a new one");
	}
	has = node_find(s, m->node);
	*out_again = t->state == TOKEN_USED;
	if (t->state == TOKEN_USED &&
	        (strcmp(t->by, m->node) != 0 || !has || has->removed || !same(has->key, m->key.data))) {
		(void)err_set(e, ERR_EXISTS, "the token was used already, by '%s'", t->by);
		return err_hint(e, "each lets one node join: 'osier hub token' on the hub prints a new one");
	}
	return name_free(s, now_ns, m, e);
}

int identity_may_cert(const struct identity *s, uint64_t now_ns, const Wire__CertSet *m, struct err *e)
{
	const struct member *has = *m->node ? node_find(s, m->node) : NULL;

	if (!has)
		return err_set(e, m->revoked ? ERR_NOTFOUND : ERR_REMOVED,
		        "no node '%.63s' has joined this hub", m->node);
	if (has->removed)
		return err_set(
		        e, m->revoked ? ERR_EXISTS : ERR_REMOVED, "'%s' was removed from this hub", m->node);
	if (m->revoked)
		return 0;
	if (cert_whole(m, e) < 0)
		return -1;
	if (!same(has->key, m->key.data) && !(m->was.len && same(has->key, m->was.data))) {
		(void)err_set(e, ERR_DENIED,
		        "'%s' has another key now, and the one that this hub knows does not vouch for it",
		        m->node);
		return err_hint(e, "'osier join' with a new token");
	}
	return room_for_cert(has, now_ns, e);
}

/* ---- applying ---- */

static void set_name(char out[IDENTITY_NAME_MAX + 1], const char *name)
{
	size_t n = strnlen(name, IDENTITY_NAME_MAX);

	memset(out, 0, IDENTITY_NAME_MAX + 1);
	memcpy(out, name, n);
}

void identity_apply_token(struct identity *s, uint64_t now_ns, const Wire__TokenSet *m)
{
	struct token *t = token_find(s, m->hash.data);

	if (t) {
		t->state = m->revoked ? TOKEN_REVOKED : TOKEN_USED;
		set_name(t->by, m->used_by);
		return;
	}
	t = token_place(s, now_ns);
	CHECK(t);
	if (t == &s->token[s->tokens])
		s->tokens++;
	memset(t, 0, sizeof(*t));
	memcpy(t->hash, m->hash.data, 32);
	t->expires_ns = m->expires_ns;
	t->used = 1;
	t->standby = m->standby != 0;
}

/* NULL: it stands by no more. */
static void set_standby(struct identity *s, const char *name, const char *origin, uint32_t broker_port)
{
	struct standby *b = standby_find(s, name);

	if (!origin) {
		if (b)
			memmove(b, b + 1, (size_t)(&s->standby[s->standbys--] - (b + 1)) * sizeof(*b));
		return;
	}
	if (!b) {
		CHECK(s->standbys < IDENTITY_STANDBYS);
		b = &s->standby[s->standbys++];
	}
	memset(b, 0, sizeof(*b));
	set_name(b->name, name);
	memcpy(b->origin, origin, strnlen(origin, IDENTITY_ORIGIN));
	b->broker_port = broker_port;
}

static void remove_node(struct identity *s, struct member *m, uint64_t now_ns)
{
	set_standby(s, m->name, NULL, 0);
	m->removed = 1;
	for (uint32_t i = 0; i < m->n_certs; i++)
		if (m->cert[i].revoked_ns == 0)
			m->cert[i].revoked_ns = now_ns;
}

void identity_apply_cert(struct identity *s, uint64_t now_ns, const Wire__CertSet *m)
{
	struct member *has = node_find(s, m->node);
	struct identity_cert *c;
	uint32_t at;

	if (m->revoked) {
		CHECK(has);
		remove_node(s, has, now_ns);
		return;
	}
	if (!has) {
		has = node_place(s, now_ns);
		CHECK(has);
		if (has == &s->node[s->nodes])
			s->nodes++;
		memset(has, 0, sizeof(*has));
		set_name(has->name, m->node);
	}
	at = cert_place(has, now_ns);
	CHECK(at < IDENTITY_CERTS);
	for (uint32_t i = 0; i < s->nodes; i++) /* a node has one name: it is another now */
		if (&s->node[i] != has && !s->node[i].removed && same(s->node[i].key, m->key.data))
			remove_node(s, &s->node[i], now_ns);
	/* A renewed certificate says nothing of that. */
	if (*m->standby || (!m->was.len && !same(has->key, m->key.data)))
		set_standby(s, has->name, *m->standby ? m->standby : NULL, m->standby_broker);
	memcpy(has->key, m->key.data, 32);
	memcpy(has->journal, m->journal.data, 32);
	has->removed = 0;
	if (at == has->n_certs)
		has->n_certs++;
	c = &has->cert[at];
	memset(c, 0, sizeof(*c));
	memcpy(c->serial, m->serial.data, IDENTITY_SERIAL);
	c->not_after_ns = m->not_after_ns;
}

/* ---- bytes ---- */

struct sink {
	int (*put)(void *ctx, const void *p, size_t n);
	void *ctx;
	int failed;
};

static void put_bytes(struct sink *k, const void *p, size_t n)
{
	if (!k->failed && k->put(k->ctx, p, n) < 0)
		k->failed = 1;
}

static void put_number(struct sink *k, uint64_t v)
{
	uint8_t b[8];

	for (unsigned i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	put_bytes(k, b, sizeof(b));
}

static void put_name(struct sink *k, const char *name)
{
	uint8_t n = (uint8_t)strlen(name);

	put_bytes(k, &n, 1);
	put_bytes(k, name, n);
}

int identity_save(const struct identity *s, int (*put)(void *ctx, const void *p, size_t n), void *ctx)
{
	struct sink k = {.put = put, .ctx = ctx};

	for (uint32_t i = 0; i < s->tokens; i++) {
		const struct token *t = &s->token[i];
		uint8_t state;

		put_bytes(&k, "T", 1);
		put_bytes(&k, t->hash, 32);
		put_number(&k, t->expires_ns);
		state = (uint8_t)(t->state | (t->standby ? STANDBY_BIT : 0));
		put_bytes(&k, &state, 1);
		put_name(&k, t->by);
	}
	for (uint32_t i = 0; i < s->nodes; i++) {
		const struct member *m = &s->node[i];

		put_bytes(&k, "N", 1);
		put_name(&k, m->name);
		put_bytes(&k, m->key, 32);
		put_bytes(&k, m->journal, 32);
		put_bytes(&k, &m->removed, 1);
		put_number(&k, m->n_certs);
		for (uint32_t c = 0; c < m->n_certs; c++) {
			put_bytes(&k, m->cert[c].serial, IDENTITY_SERIAL);
			put_number(&k, m->cert[c].not_after_ns);
			put_number(&k, m->cert[c].revoked_ns);
		}
	}
	for (uint32_t i = 0; i < s->standbys; i++) {
		put_bytes(&k, "S", 1);
		put_name(&k, s->standby[i].name);
		put_name(&k, s->standby[i].origin);
		put_number(&k, s->standby[i].broker_port);
	}
	return k.failed ? -1 : 0;
}

struct source {
	const uint8_t *p, *end;
	bool bad;
};

static void get_bytes(struct source *k, void *out, size_t n)
{
	if (k->bad || n > (size_t)(k->end - k->p)) {
		k->bad = true;
		memset(out, 0, n);
		return;
	}
	memcpy(out, k->p, n);
	k->p += n;
}

static uint64_t get_number(struct source *k)
{
	uint8_t b[8];
	uint64_t v = 0;

	get_bytes(k, b, sizeof(b));
	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)b[i] << (8 * i);
	return v;
}

static void get_text(struct source *k, char *out, size_t most)
{
	uint8_t n;

	get_bytes(k, &n, 1);
	memset(out, 0, most + 1);
	if (n > most)
		k->bad = true;
	else
		get_bytes(k, out, n);
	if (!k->bad && memchr(out, '\0', n))
		k->bad = true;
}

static void get_name(struct source *k, char out[IDENTITY_NAME_MAX + 1])
{
	get_text(k, out, IDENTITY_NAME_MAX);
}

static void get_standby(struct source *k, struct standby *b)
{
	uint64_t port;

	get_name(k, b->name);
	get_text(k, b->origin, IDENTITY_ORIGIN);
	port = get_number(k);
	b->broker_port = (uint32_t)port;
	if (port > 65535 || !b->name[0] || !b->origin[0])
		k->bad = true;
}

static void get_token(struct source *k, struct token *t)
{
	get_bytes(k, t->hash, 32);
	t->expires_ns = get_number(k);
	get_bytes(k, &t->state, 1);
	get_name(k, t->by);
	t->standby = (t->state & STANDBY_BIT) != 0;
	t->state &= (uint8_t)~STANDBY_BIT;
	t->used = 1;
	if (t->state > TOKEN_REVOKED)
		k->bad = true;
}

static void get_node(struct source *k, struct member *m)
{
	uint64_t n;

	get_name(k, m->name);
	get_bytes(k, m->key, 32);
	get_bytes(k, m->journal, 32);
	get_bytes(k, &m->removed, 1);
	n = get_number(k);
	if (n > IDENTITY_CERTS || m->removed > 1 || !m->name[0]) {
		k->bad = true;
		return;
	}
	m->n_certs = (uint32_t)n;
	for (uint32_t c = 0; c < m->n_certs; c++) {
		get_bytes(k, m->cert[c].serial, IDENTITY_SERIAL);
		m->cert[c].not_after_ns = get_number(k);
		m->cert[c].revoked_ns = get_number(k);
	}
}

int identity_load(struct identity *s, const uint8_t *bytes, size_t n)
{
	struct source k = {.p = bytes, .end = bytes + n};
	char kind;

	CHECK(identity_empty(s));
	while (k.p < k.end && !k.bad) {
		get_bytes(&k, &kind, 1);
		if (kind == 'T' && s->nodes == 0 && s->tokens < s->limits.tokens)
			get_token(&k, &s->token[s->tokens++]);
		else if (kind == 'N' && s->nodes < s->limits.nodes)
			get_node(&k, &s->node[s->nodes++]);
		else if (kind == 'S' && s->standbys < IDENTITY_STANDBYS)
			get_standby(&k, &s->standby[s->standbys++]);
		else
			k.bad = true;
	}
	return k.bad ? -1 : 0;
}

bool identity_empty(const struct identity *s)
{
	return s->tokens == 0 && s->nodes == 0;
}

void identity_check(const struct identity *s)
{
	CHECK(s->tokens <= s->limits.tokens && s->nodes <= s->limits.nodes);
	CHECK(s->standbys <= IDENTITY_STANDBYS);
	for (uint32_t i = 0; i < s->standbys; i++) {
		const struct member *m = node_find(s, s->standby[i].name);

		CHECK(m && !m->removed && s->standby[i].origin[0]);
	}
	for (uint32_t i = 0; i < s->tokens; i++) {
		CHECK(s->token[i].used && token_find(s, s->token[i].hash) == &s->token[i]);
		CHECK((s->token[i].state == TOKEN_USED) == (s->token[i].by[0] != '\0'));
	}
	for (uint32_t i = 0; i < s->nodes; i++) {
		CHECK(s->node[i].name[0] && node_find(s, s->node[i].name) == &s->node[i]);
		CHECK(s->node[i].n_certs <= IDENTITY_CERTS);
		for (uint32_t c = 0; c < s->node[i].n_certs; c++)
			CHECK(!s->node[i].removed || s->node[i].cert[c].revoked_ns != 0);
	}
}
