/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg - one connection to PostgreSQL by libpq: statements with binary values, bounded waits, errors that say what to do.
 *
 * Not a pool, and nothing of journals: journal_pg*.c has the statements. libpq is loaded by dlopen at the first pg_open(): with
 * what it pulls in (TLS, Kerberos, LDAP) it is 7 MB that only a hub with a record in PostgreSQL pays for; building needs its header alone.
 * A connection belongs to one thread at a time. Blocking, never longer than its timeout for each step of an answer. Neither URL
 * nor password is ever part of a message.
 */
#ifndef OSIER_IO_PG_H
#define OSIER_IO_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PG_URL_MAX    1024u
#define PG_SCHEMA_MAX 48u
#define PG_PLACE_MAX  128u

struct pg;

/* What came of the last call. */
enum pg_trouble {
	PG_FINE,
	PG_LOST, /* no connection, or not to a server that takes changes: what was under way may have happened */
	PG_FULL,  /* no room, or too busy: nothing happened, try again */
	PG_TWICE, /* a row with that key is there: nothing happened */
	PG_WRONG  /* anything else: nothing happened */
};

/* "postgres://USER@HOST/DB?..." or "postgresql://...", as libpq takes it, and `schema=NAME` (a-z, 0-9, _; default: osier). */
int pg_url_check(const char *url, struct err *e);
/* Where that is, for people: "postgres://HOST/DB", without user and password; never fails. */
void pg_url_place(const char *url, char out[PG_PLACE_MAX]);

/* Connect and choose the schema, which need not be there. timeout_ms bounds connecting and each later wait for the server. ERR_INVALID:
 * the URL; ERR_NOTFOUND: no libpq; ERR_DENIED: who we are; ERR_CLOSED: nobody answers; ERR_SYSTEM: what the server says. */
int pg_open(const char *url, unsigned timeout_ms, struct pg **out, struct err *e);
void pg_close(struct pg *c);
const char *pg_schema(const struct pg *c);
enum pg_trouble pg_trouble(const struct pg *c);
/* Was it lost because nothing came for timeout_ms? */
bool pg_silent(const struct pg *c);
/* Did the server warn since the last call? (So it does when a commit was not replicated as it should be.) */
bool pg_warned(struct pg *c);

/* ---- values ---- */

enum pg_type { PG_I8, PG_BYTES, PG_TEXT, PG_I8_ARRAY, PG_BYTES_ARRAY };
struct pg_value {
	enum pg_type type;
	int64_t i8;    /* PG_I8 */
	const void *p; /* else, borrowed */
	size_t n;
};
/* Arrays grow in a buffer of the caller's, which is clear at first; release with free(b->p). */
struct pg_array {
	uint8_t *p;
	size_t n, size;
	uint32_t count;
	bool bytes;
};
void pg_array_clear(struct pg_array *a, bool bytes);
void pg_array_i8(struct pg_array *a, int64_t v);
void pg_array_bytes(struct pg_array *a, const void *p, size_t n);
struct pg_value pg_array_value(struct pg_array *a);

/* ---- statements ---- */

struct pg_rows;
/* Run one statement (prepared at its first use; `sql` is a constant: its address is its name) or, without values, a script. *out may
 * be NULL. A failure's kind is pg_trouble(). */
int pg_run(struct pg *c, const char *sql, const struct pg_value *v, size_t n, struct pg_rows **out,
        struct err *e);
int pg_script(struct pg *c, const char *sql, struct err *e);
/* As pg_run(), row by row: memory does not grow with their number. Stops calling `row` when it returns other than 0, which is
 * returned. */
int pg_each(struct pg *c, const char *sql, const struct pg_value *v, size_t n,
        int (*row)(void *ctx, const struct pg_rows *one, struct err *e), void *ctx, struct err *e);

size_t pg_rows_n(const struct pg_rows *r);
/* NULL: the value is NULL. */
const uint8_t *pg_cell(const struct pg_rows *r, size_t row, int column, size_t *out_n);
/* An int8 or int4; otherwise when it is NULL or something else. */
int64_t pg_cell_i8(const struct pg_rows *r, size_t row, int column, int64_t otherwise);
void pg_rows_free(struct pg_rows *r);

/* ---- notifications ---- */

int pg_socket(const struct pg *c);
/* Take in what lies in the socket. *out: notifications came. < 0: the connection is lost. */
int pg_notified(struct pg *c, bool *out, struct err *e);

#endif
