/* SPDX-License-Identifier: Apache-2.0 */
/* pg - see pg.h. */
#include "io/pg.h"

#include <dlfcn.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/check.h"

#define CONNECT_MS      4000u
#define STATEMENTS_MAX  64u
#define VALUES_MAX      20u
#define OID_I8          20
#define OID_BYTES       17
#define OID_TEXT        25
#define OID_I8_ARRAY    1016
#define OID_BYTES_ARRAY 1001

/* ---- the library ---- */

/* clang-format off */
#define FUNCTIONS(X) \
	X(PQconnectdbParams) X(PQfinish) X(PQstatus) X(PQerrorMessage) X(PQsetnonblocking) X(PQsendPrepare) \
	X(PQsendQueryPrepared) X(PQsendQuery) X(PQsetSingleRowMode) X(PQflush) X(PQconsumeInput) X(PQisBusy) \
	X(PQgetResult) X(PQresultStatus) X(PQresultErrorField) X(PQntuples) X(PQgetvalue) X(PQgetlength) \
	X(PQgetisnull) X(PQnfields) X(PQclear) X(PQsocket) X(PQnotifies) X(PQfreemem) X(PQsetNoticeReceiver) \
	X(PQconninfoParse) X(PQconninfoFree)
/* clang-format on */

static struct {
#define DECLARE(f) __typeof__(f) *f;
	FUNCTIONS(DECLARE)
	bool loaded;
} pq;

/* Once for the process, and for good: what libpq loads cannot be unloaded. */
static void load(void)
{
#define NAME(f) #f,
	static const char *const names[] = {FUNCTIONS(NAME)};
	void *lib = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL), *at[ARRAY_LEN(names)];

	if (!lib)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		at[i] = dlsym(lib, names[i]);
		if (!at[i])
			return;
	}
	_Static_assert(sizeof(at) == offsetof(__typeof__(pq), loaded), "a name for each function");
	memcpy(&pq, at, sizeof(at)); /* POSIX: what dlsym gives may be called */
	pq.loaded = true;
}

static int need_library(struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, load);
	if (pq.loaded)
		return 0;
	(void)err_set(
	        e, ERR_NOTFOUND, "libpq is not on this machine; a record in PostgreSQL cannot be reached");
	return err_hint(e, "install Debian's package libpq5");
}

struct pg {
	PGconn *conn;
	unsigned timeout_ms;
	enum pg_trouble trouble;
	bool warned, silent;
	char schema[PG_SCHEMA_MAX + 1], place[PG_PLACE_MAX];
	const char *prepared[STATEMENTS_MAX];
	size_t n_prepared;
};

/* ---- addresses ---- */

static const char *after_scheme(const char *url)
{
	if (strncmp(url, "postgres://", 11) == 0)
		return url + 11;
	return strncmp(url, "postgresql://", 13) == 0 ? url + 13 : NULL;
}

/* The URL without its schema=NAME, and that name. */
static int split(const char *url, char out[PG_URL_MAX + 1], char schema[PG_SCHEMA_MAX + 1])
{
	const char *query = strchr(url, '?'), *at = query;
	size_t n = query ? (size_t)(query - url) : strlen(url);
	char sep = '?';

	(void)snprintf(schema, PG_SCHEMA_MAX + 1, "osier");
	(void)snprintf(out, PG_URL_MAX + 1, "%.*s", (int)n, url);
	while (at && *at) {
		const char *word = at + 1;
		size_t len = strcspn(word, "&");

		if (strncmp(word, "schema=", 7) == 0) {
			if (len == 7 || len - 7 > PG_SCHEMA_MAX ||
			        strspn(word + 7, "abcdefghijklmnopqrstuvwxyz0123456789_") != len - 7)
				return -1;
			(void)snprintf(schema, PG_SCHEMA_MAX + 1, "%.*s", (int)(len - 7), word + 7);
		} else {
			size_t used = strlen(out);

			(void)snprintf(out + used, PG_URL_MAX + 1 - used, "%c%.*s", sep, (int)len, word);
			sep = '&';
		}
		at = word[len] ? word + len : NULL;
	}
	return 0;
}

int pg_url_check(const char *url, struct err *e)
{
	char own[PG_URL_MAX + 1], schema[PG_SCHEMA_MAX + 1];
	PQconninfoOption *options;
	char *why = NULL;

	if (strnlen(url, PG_URL_MAX + 1) > PG_URL_MAX)
		return err_set(e, ERR_INVALID, "the record's URL is longer than %u bytes", PG_URL_MAX);
	if (!after_scheme(url)) {
		(void)err_set(e, ERR_INVALID, "the record's URL does not begin with postgres://");
		return err_hint(e, "like postgres://osier@db.example.com/osier");
	}
	if (split(url, own, schema) < 0)
		return err_set(e, ERR_INVALID,
		        "the schema in the record's URL is not of 1 to %u letters a-z, digits and _",
		        PG_SCHEMA_MAX);
	if (need_library(e) < 0)
		return -1;
	options = pq.PQconninfoParse(own, &why);
	if (!options) {
		/* Its words may hold the password: they are not ours to show. */
		pq.PQfreemem(why);
		(void)err_set(
		        e, ERR_INVALID, "the record's URL is not one that PostgreSQL's library understands");
		return err_hint(
		        e, "like postgres://osier@db.example.com/osier; encode signs in a password as %%40");
	}
	pq.PQconninfoFree(options);
	return 0;
}

void pg_url_place(const char *url, char out[PG_PLACE_MAX])
{
	const char *host = after_scheme(url), *at;
	size_t n = host ? strcspn(host, "?#") : 0;

	(void)snprintf(out, PG_PLACE_MAX, "postgres://");
	if (!host)
		return;
	at = memrchr(host, '@', n); /* name and password go unsaid */
	if (at) {
		n -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	(void)snprintf(out, PG_PLACE_MAX, "postgres://%.*s", n > 100 ? 100 : (int)n, host);
}

/* ---- errors ---- */

/* The first line of what libpq says, without what comes before the point. */
static void first_line(const char *text, char *out, size_t room)
{
	size_t n = strcspn(text, "\n");

	(void)snprintf(out, room, "%.*s", (int)(n > room - 1 ? room - 1 : n), text);
}

static enum pg_trouble trouble_of(const char *state)
{
	if (!state || strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0 ||
	        strcmp(state, "25006") == 0) /* it has become a standby */
		return PG_LOST;
	if (strncmp(state, "53", 2) == 0 || strncmp(state, "40", 2) == 0 || strcmp(state, "55P03") == 0 ||
	        strcmp(state, "57014") == 0)
		return PG_FULL;
	return strcmp(state, "23505") == 0 ? PG_TWICE : PG_WRONG;
}

static int lost(struct pg *c, struct err *e)
{
	char line[100];

	first_line(pq.PQerrorMessage(c->conn), line, sizeof(line));
	c->trouble = PG_LOST;
	(void)err_set(e, ERR_CLOSED, "the connection to the record at %.80s is lost%s%s", c->place,
	        *line ? ": " : "", line);
	return err_hint(e, "it is tried again while PostgreSQL is away");
}

static int says(struct pg *c, const PGresult *r, struct err *e)
{
	const char *state = pq.PQresultErrorField(r, PG_DIAG_SQLSTATE),
	           *words = pq.PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	char line[120];

	c->trouble = pq.PQstatus(c->conn) == CONNECTION_BAD ? PG_LOST : trouble_of(state);
	first_line(words ? words : "no words", line, sizeof(line));
	if (c->trouble == PG_LOST)
		return err_set(e, ERR_CLOSED, "the record at %.80s does not answer: %s", c->place, line);
	(void)err_set(e,
	        c->trouble == PG_FULL                   ? ERR_FULL
	        : state && strcmp(state, "42501") == 0  ? ERR_DENIED
	        : state && strncmp(state, "42", 2) == 0 ? ERR_CORRUPT
	                                                : ERR_SYSTEM,
	        "the record at %.80s says: %s (%s)", c->place, line, state ? state : "?");
	if (c->trouble == PG_FULL)
		return err_hint(e, "make room where PostgreSQL's data lies");
	if (state && strcmp(state, "42501") == 0)
		return err_hint(e, "grant the user CREATE on the database, or make the schema for it");
	return -1;
}

static void on_notice(void *arg, const PGresult *r)
{
	struct pg *c = arg;
	const char *severity = pq.PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (severity && strcmp(severity, "WARNING") == 0)
		c->warned = true;
}

/* ---- connecting ---- */

static int connect_to(struct pg *c, const char *url, struct err *e)
{
	char seconds[16], user_timeout[16], line[140];
	const char *names[] = {"connect_timeout", "tcp_user_timeout", "keepalives_idle",
	        "keepalives_interval", "keepalives_count", "target_session_attrs", "application_name",
	        "dbname", NULL};
	const char *values[] = {seconds, user_timeout, "5", "2", "3", "read-write", "osier", url, NULL};
	bool denied;

	/* For each host that the URL names: one that is gone must not cost the time that the others need. */
	(void)snprintf(seconds, sizeof(seconds), "%u",
	        c->timeout_ms < 2000         ? 2
	        : c->timeout_ms > CONNECT_MS ? CONNECT_MS / 1000
	                                     : c->timeout_ms / 1000);
	(void)snprintf(user_timeout, sizeof(user_timeout), "%u", c->timeout_ms);
	c->conn = pq.PQconnectdbParams(names, values, 1); /* the URL is last, and wins */
	CHECK(c->conn);
	if (pq.PQstatus(c->conn) == CONNECTION_OK) {
		(void)pq.PQsetNoticeReceiver(c->conn, on_notice, c);
		return pq.PQsetnonblocking(c->conn, 1) < 0 ? lost(c, e) : 0;
	}
	first_line(pq.PQerrorMessage(c->conn), line, sizeof(line));
	denied = strstr(line, "authentication failed") || strstr(line, "no password supplied") ||
	         strstr(line, "no pg_hba.conf entry");
	c->trouble = PG_LOST;
	(void)err_set(e, denied ? ERR_DENIED : ERR_CLOSED, "the record at %.60s cannot be reached: %s",
	        c->place, line);
	return err_hint(e, denied ? "name the user in the URL, and give its password in ~/.pgpass or the URL"
	                          : "is PostgreSQL up there, and does it let this machine in (pg_hba.conf)?");
}

int pg_open(const char *url, unsigned timeout_ms, struct pg **out, struct err *e)
{
	char own[PG_URL_MAX + 1], sql[256];
	struct pg *c;

	if (pg_url_check(url, e) < 0)
		return -1;
	c = calloc(1, sizeof(*c));
	CHECK(c);
	c->timeout_ms = timeout_ms;
	(void)split(url, own, c->schema);
	pg_url_place(url, c->place);
	/* Just-in-time compilation and plans for each value cost more than our statements. */
	(void)snprintf(sql, sizeof(sql),
	        "SET search_path TO \"%s\"; SET jit TO off; SET plan_cache_mode TO force_generic_plan; "
	        "SET client_min_messages TO warning",
	        c->schema);
	if (connect_to(c, own, e) < 0 || pg_script(c, sql, e) < 0) {
		pg_close(c);
		return -1;
	}
	*out = c;
	return 0;
}

void pg_close(struct pg *c)
{
	if (!c)
		return;
	if (c->conn)
		pq.PQfinish(c->conn);
	free(c);
}

const char *pg_schema(const struct pg *c)
{
	return c->schema;
}

enum pg_trouble pg_trouble(const struct pg *c)
{
	return c->trouble;
}

bool pg_silent(const struct pg *c)
{
	return c->silent;
}

bool pg_warned(struct pg *c)
{
	bool warned = c->warned;

	c->warned = false;
	return warned;
}

/* ---- values ---- */

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

#define ARRAY_HEAD 20u /* dimensions, flags, element type, length, lower bound: a word each */

static uint8_t *room_for(struct pg_array *a, size_t n)
{
	uint8_t *at;

	if (a->n + n > a->size) {
		size_t size = a->size ? a->size : 1024;

		while (size < a->n + n)
			size *= 2;
		a->p = realloc(a->p, size);
		CHECK(a->p);
		a->size = size;
	}
	at = a->p + a->n;
	a->n += n;
	return at;
}

void pg_array_clear(struct pg_array *a, bool bytes)
{
	if (a->size > 1u << 20) { /* one large batch is not kept for good */
		free(a->p);
		a->p = NULL;
		a->size = 0;
	}
	a->n = a->count = 0;
	a->bytes = bytes;
	(void)room_for(a, ARRAY_HEAD);
}

void pg_array_i8(struct pg_array *a, int64_t v)
{
	uint8_t *at = room_for(a, 12);

	put32(at, 8);
	put64(at + 4, (uint64_t)v);
	a->count++;
}

void pg_array_bytes(struct pg_array *a, const void *p, size_t n)
{
	uint8_t *at = room_for(a, 4 + n);

	put32(at, (uint32_t)n);
	if (n > 0)
		memcpy(at + 4, p, n);
	a->count++;
}

struct pg_value pg_array_value(struct pg_array *a)
{
	put32(a->p, a->count ? 1 : 0);
	put32(a->p + 4, 0);
	put32(a->p + 8, a->bytes ? OID_BYTES : OID_I8);
	put32(a->p + 12, a->count);
	put32(a->p + 16, 1);
	return (struct pg_value){
	        .type = a->bytes ? PG_BYTES_ARRAY : PG_I8_ARRAY, .p = a->p, .n = a->count ? a->n : 12};
}

/* ---- statements ---- */

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static int await(struct pg *c, short events, uint64_t until, struct err *e)
{
	struct pollfd p = {.fd = pq.PQsocket(c->conn), .events = events};
	uint64_t now = now_ms();
	int n = now >= until ? 0 : poll(&p, 1, (int)(until - now));

	if (n > 0 || (n < 0 && errno == EINTR))
		return 0;
	c->trouble = PG_LOST;
	c->silent = true;
	return err_set(e, ERR_CLOSED, "the record at %.80s has not answered for %u s", c->place,
	        c->timeout_ms / 1000);
}

static int send_all(struct pg *c, struct err *e)
{
	uint64_t until = now_ms() + c->timeout_ms;
	int rc;

	while ((rc = pq.PQflush(c->conn)) == 1) {
		if (await(c, POLLIN | POLLOUT, until, e) < 0)
			return -1;
		if (!pq.PQconsumeInput(c->conn))
			return lost(c, e);
	}
	return rc < 0 ? lost(c, e) : 0;
}

/* The next result of what was sent, NULL at its end. */
static int next_result(struct pg *c, PGresult **out, struct err *e)
{
	uint64_t until = now_ms() + c->timeout_ms;

	while (pq.PQisBusy(c->conn)) {
		if (await(c, POLLIN, until, e) < 0)
			return -1;
		if (!pq.PQconsumeInput(c->conn))
			return lost(c, e);
	}
	*out = pq.PQgetResult(c->conn);
	return 0;
}

/* Take results until there are no more; the last good one is kept for *out, the first failure is told. */
static int finish(struct pg *c, PGresult **out, struct err *e)
{
	PGresult *r;
	int rc = 0;

	if (send_all(c, e) < 0)
		return -1;
	for (;;) {
		ExecStatusType s;

		if (next_result(c, &r, e) < 0)
			return -1;
		if (!r)
			break;
		s = pq.PQresultStatus(r);
		if (s != PGRES_TUPLES_OK && s != PGRES_COMMAND_OK && s != PGRES_EMPTY_QUERY && rc == 0)
			rc = says(c, r, e);
		if (rc == 0 && out) {
			pq.PQclear(*out);
			*out = r;
		} else {
			pq.PQclear(r);
		}
	}
	return rc;
}

int pg_script(struct pg *c, const char *sql, struct err *e)
{
	c->trouble = PG_FINE;
	return pq.PQsendQuery(c->conn, sql) ? finish(c, NULL, e) : lost(c, e);
}

static Oid oid_of(enum pg_type t)
{
	switch (t) {
	case PG_I8:
		return OID_I8;
	case PG_BYTES:
		return OID_BYTES;
	case PG_TEXT:
		return OID_TEXT;
	case PG_I8_ARRAY:
		return OID_I8_ARRAY;
	case PG_BYTES_ARRAY:
		return OID_BYTES_ARRAY;
	}
	return 0;
}

/* The statement's name, which is prepared at its first use. */
static int name_of(
        struct pg *c, const char *sql, const struct pg_value *v, size_t n, char out[16], struct err *e)
{
	Oid types[VALUES_MAX];
	size_t i = 0;

	while (i < c->n_prepared && c->prepared[i] != sql)
		i++;
	(void)snprintf(out, 16, "s%zu", i);
	if (i < c->n_prepared)
		return 0;
	CHECK(i < STATEMENTS_MAX && n <= VALUES_MAX);
	for (size_t k = 0; k < n; k++)
		types[k] = oid_of(v[k].type);
	if (!pq.PQsendPrepare(c->conn, out, sql, (int)n, types))
		return lost(c, e);
	if (finish(c, NULL, e) < 0)
		return -1;
	c->prepared[c->n_prepared++] = sql;
	return 0;
}

static int begin(struct pg *c, const char *sql, const struct pg_value *v, size_t n, struct err *e)
{
	static const char nothing[1];
	const char *values[VALUES_MAX];
	int lengths[VALUES_MAX], formats[VALUES_MAX];
	uint8_t number[VALUES_MAX][8];
	char name[16];

	c->trouble = PG_FINE;
	if (name_of(c, sql, v, n, name, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		formats[i] = 1;
		if (v[i].type == PG_I8) {
			put64(number[i], (uint64_t)v[i].i8);
			values[i] = (const char *)number[i];
			lengths[i] = 8;
			continue;
		}
		CHECK(v[i].n <= INT32_MAX);
		values[i] = v[i].p ? v[i].p : nothing;
		lengths[i] = (int)v[i].n;
	}
	return pq.PQsendQueryPrepared(c->conn, name, (int)n, values, lengths, formats, 1) ? 0 : lost(c, e);
}

int pg_run(struct pg *c, const char *sql, const struct pg_value *v, size_t n, struct pg_rows **out,
        struct err *e)
{
	PGresult *r = NULL;

	if (begin(c, sql, v, n, e) < 0)
		return -1;
	if (finish(c, out ? &r : NULL, e) < 0) {
		pq.PQclear(r);
		return -1;
	}
	if (out)
		*out = (struct pg_rows *)r;
	return 0;
}

int pg_each(struct pg *c, const char *sql, const struct pg_value *v, size_t n,
        int (*row)(void *ctx, const struct pg_rows *one, struct err *e), void *ctx, struct err *e)
{
	int rc = 0, stopped = 0;

	if (begin(c, sql, v, n, e) < 0)
		return -1;
	(void)pq.PQsetSingleRowMode(c->conn);
	if (send_all(c, e) < 0)
		return -1;
	for (;;) {
		PGresult *r;
		ExecStatusType s;

		if (next_result(c, &r, e) < 0)
			return -1;
		if (!r)
			return rc < 0 ? rc : stopped;
		s = pq.PQresultStatus(r);
		if (s == PGRES_SINGLE_TUPLE && !stopped && rc == 0)
			stopped = row(ctx, (const struct pg_rows *)r, e);
		else if (s != PGRES_SINGLE_TUPLE && s != PGRES_TUPLES_OK && rc == 0)
			rc = says(c, r, e);
		pq.PQclear(r);
	}
}

static const PGresult *result(const struct pg_rows *r)
{
	return (const PGresult *)r;
}

size_t pg_rows_n(const struct pg_rows *r)
{
	return (size_t)pq.PQntuples(result(r));
}

const uint8_t *pg_cell(const struct pg_rows *r, size_t row, int column, size_t *out_n)
{
	*out_n = 0;
	if (column >= pq.PQnfields(result(r)) || pq.PQgetisnull(result(r), (int)row, column))
		return NULL;
	*out_n = (size_t)pq.PQgetlength(result(r), (int)row, column);
	return (const uint8_t *)pq.PQgetvalue(result(r), (int)row, column);
}

int64_t pg_cell_i8(const struct pg_rows *r, size_t row, int column, int64_t otherwise)
{
	size_t n;
	const uint8_t *p = pg_cell(r, row, column, &n);

	if (p && n == 8)
		return (int64_t)((uint64_t)get32(p) << 32 | get32(p + 4));
	return p && n == 4 ? (int32_t)get32(p) : otherwise;
}

void pg_rows_free(struct pg_rows *r)
{
	if (r)
		pq.PQclear((PGresult *)r);
}

/* ---- notifications ---- */

int pg_socket(const struct pg *c)
{
	return pq.PQsocket(c->conn);
}

int pg_notified(struct pg *c, bool *out, struct err *e)
{
	PGnotify *n;

	*out = false;
	if (!pq.PQconsumeInput(c->conn))
		return lost(c, e);
	while ((n = pq.PQnotifies(c->conn))) {
		*out = true;
		pq.PQfreemem(n);
	}
	return 0;
}
