/* SPDX-License-Identifier: Apache-2.0 */
/* logstore_cosigned - see cosigned.h. */
#include "io/cosigned.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "io/logstore_int.h"

/* Tables that older stores have not, and older programs do not look at: no new format. */
static const char schema[] = "CREATE TABLE IF NOT EXISTS cosigned (size INTEGER PRIMARY KEY, root BLOB NOT "
                             "NULL, note BLOB NOT NULL,"
                             " met INTEGER NOT NULL);"
                             "CREATE TABLE IF NOT EXISTS cosignatures (size INTEGER, vkey TEXT, line TEXT "
                             "NOT NULL, time_s INTEGER "
                             "NOT NULL, PRIMARY KEY (size, vkey)) WITHOUT ROWID;"
                             "CREATE TABLE IF NOT EXISTS cosigners (vkey TEXT PRIMARY KEY, size INTEGER NOT "
                             "NULL, time_s INTEGER NOT "
                             "NULL) WITHOUT ROWID;";

/* What the newest met head covers, and open heads beyond a number: they go. */
static const char tidy[] = "DELETE FROM cosigned WHERE size < (SELECT max(size) FROM cosigned WHERE met);"
                           "DELETE FROM cosigned WHERE NOT met AND size NOT IN"
                           " (SELECT size FROM cosigned WHERE NOT met ORDER BY size DESC LIMIT 64);"
                           "DELETE FROM cosignatures WHERE size NOT IN (SELECT size FROM cosigned);";
_Static_assert(COSIGNED_OPEN_MAX == 64, "as the statement says");

static int failed(sqlite3 *db, struct err *e)
{
	return err_set(e, (sqlite3_errcode(db) & 0xff) == SQLITE_FULL ? ERR_FULL : ERR_SYSTEM,
	        "cannot use the ledger's store: %s", sqlite3_errmsg(db));
}

static int exec(sqlite3 *db, const char *sql, struct err *e)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(db, e);
}

static bool by(const struct note_sig *s, const struct note_key *k)
{
	return s->name_n == strlen(k->name) && memcmp(s->name, k->name, s->name_n) == 0 &&
	       memcmp(s->id, k->id, sizeof(k->id)) == 0;
}

/* A signature's line as it stands, with its newline; the dash and a space are before the name. */
static const char *line_of(const struct note_sig *s, size_t *out_n)
{
	const char *line = s->name - 4;

	*out_n = (size_t)(s->base64 + s->base64_n - line) + 1;
	return line;
}

/* ---- keeping ---- */

/* Text and the lines of the logs that the policy trusts; malloc'd. */
static char *log_note(const struct policy *p, const struct note *n, size_t *out_n)
{
	size_t at = n->text_n, len, room = n->text_n + 1;
	char *out;

	for (unsigned i = 0; i < n->sigs; i++) {
		(void)line_of(&n->sig[i], &len);
		room += len;
	}
	out = malloc(room);
	CHECK(out);
	memcpy(out, n->text, at);
	out[at++] = '\n';
	for (unsigned i = 0; i < n->sigs; i++)
		for (unsigned k = 0; k < p->logs; k++)
			if (by(&n->sig[i], &p->log[k].key)) {
				const char *line = line_of(&n->sig[i], &len);

				memcpy(out + at, line, len);
				at += len;
				break;
			}
	*out_n = at;
	return out;
}

static int put_head(
        sqlite3 *db, const struct policy *p, const struct note *n, const struct checkpoint *c, struct err *e)
{
	sqlite3_stmt *s = NULL;
	size_t note_n;
	char *note = log_note(p, n, &note_n);
	int rc = -1;

	if (sqlite3_prepare_v2(db,
	            "INSERT INTO cosigned (size, root, note, met) VALUES (?1, ?2, ?3, 0)"
	            " ON CONFLICT DO UPDATE SET note = ?3",
	            -1, &s, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)c->size);
		(void)sqlite3_bind_blob(s, 2, c->root, 32, SQLITE_STATIC);
		(void)sqlite3_bind_blob(s, 3, note, (int)note_n, SQLITE_STATIC);
		rc = sqlite3_step(s) == SQLITE_DONE ? 0 : -1;
	}
	(void)sqlite3_finalize(s);
	free(note);
	return rc < 0 ? failed(db, e) : 0;
}

static int put_row(sqlite3 *db, const char *sql, uint64_t size, const char *vkey, const char *line, size_t n,
        uint64_t time_s, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)size);
		(void)sqlite3_bind_text(s, 2, vkey, -1, SQLITE_STATIC);
		(void)sqlite3_bind_int64(s, 3, (sqlite3_int64)time_s);
		if (line)
			(void)sqlite3_bind_text(s, 4, line, (int)n, SQLITE_STATIC);
		rc = sqlite3_step(s) == SQLITE_DONE ? 0 : -1;
	}
	(void)sqlite3_finalize(s);
	return rc < 0 ? failed(db, e) : 0;
}

/* The line by k, whose signature verified. */
static int put_line(sqlite3 *db, const struct note *n, uint64_t size, const struct note_key *k,
        uint64_t time_s, struct err *e)
{
	char vkey[NOTE_VKEY_MAX];
	const char *line = NULL;
	size_t len = 0;

	note_key_print(k, vkey);
	for (unsigned i = 0; i < n->sigs; i++)
		if (by(&n->sig[i], k))
			line = line_of(&n->sig[i], &len);
	CHECK(line);
	return put_row(db,
	               "INSERT OR REPLACE INTO cosignatures (size, vkey, time_s, line) VALUES (?1, ?2, ?3, "
	               "?4)",
	               size, vkey, line, len, time_s, e) < 0
	               ? -1
	               : put_row(db,
	                         "INSERT INTO cosigners (size, vkey, time_s) VALUES (?1, ?2, ?3) ON CONFLICT "
	                         "DO"
	                         " UPDATE SET size = ?1, time_s = ?3 WHERE size <= ?1",
	                         size, vkey, NULL, 0, time_s, e);
}

/* Is the head's quorum met, by all that cosigned it so far? */
static int note_met(sqlite3 *db, const struct policy *p, uint64_t size, bool *out, struct err *e)
{
	bool has[POLICY_ITEMS_MAX] = {0};
	sqlite3_stmt *s = NULL;
	unsigned found = 0;
	int rc;

	if (sqlite3_prepare_v2(db, "SELECT vkey FROM cosignatures WHERE size = ?1", -1, &s, NULL) !=
	        SQLITE_OK)
		return failed(db, e);
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)size);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const char *vkey = (const char *)sqlite3_column_text(s, 0);

		for (unsigned i = 0; vkey && i < p->members; i++) {
			char own[NOTE_VKEY_MAX];

			if (p->member[i].group)
				continue;
			note_key_print(&p->member[i].key, own);
			if (strcmp(vkey, own) == 0)
				has[i] = ++found;
		}
	}
	(void)sqlite3_finalize(s);
	if (rc != SQLITE_DONE)
		return failed(db, e);
	*out = found && policy_met(p, has);
	return 0;
}

static int put_all(sqlite3 *db, const struct policy *p, const struct note *n, const struct checkpoint *c,
        const struct policy_result *trust, bool *out_met, struct err *e)
{
	char sql[80];

	if (put_head(db, p, n, c, e) < 0)
		return -1;
	for (unsigned i = 0; i < p->members; i++)
		if (trust->has[i] && put_line(db, n, c->size, &p->member[i].key, trust->time_s[i], e) < 0)
			return -1;
	if (note_met(db, p, c->size, out_met, e) < 0)
		return -1;
	(void)snprintf(sql, sizeof(sql), "UPDATE cosigned SET met = %d WHERE size = %lld", *out_met,
	        (long long)c->size);
	return exec(db, sql, e) < 0 || exec(db, tidy, e) < 0 ? -1 : 0;
}

int cosigned_put(const char *dir, const struct policy *p, const struct note *n, const struct checkpoint *c,
        const struct policy_result *trust, bool *out_met, struct err *e)
{
	sqlite3 *db = NULL;
	char path[4096];
	int rc = -1;

	if (snprintf(path, sizeof(path), "%s/ledger.db", dir) >= (int)sizeof(path))
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	if (access(path, F_OK) < 0)
		return err_set(e, ERR_NOTFOUND, "nothing was published yet");
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		(void)failed(db, e);
		goto out;
	}
	(void)sqlite3_busy_timeout(db, 30000);
	if (exec(db, "PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF; BEGIN IMMEDIATE;", e) < 0)
		goto out;
	rc = exec(db, schema, e) < 0 || put_all(db, p, n, c, trust, out_met, e) < 0 ? -1
	                                                                            : exec(db, "COMMIT", e);
out:
	(void)sqlite3_close(db);
	return rc;
}

/* ---- reading ---- */

/* No table: nothing was ever cosigned, and *out is NULL. */
static int prepare(struct logstore *l, const char *sql, sqlite3_stmt **out, struct err *e)
{
	sqlite3_stmt *s = NULL;
	bool there;

	*out = NULL;
	if (sqlite3_prepare_v2(l->db, "SELECT 1 FROM sqlite_schema WHERE name = 'cosigned'", -1, &s, NULL) !=
	        SQLITE_OK)
		return store_failed(l, e);
	there = sqlite3_step(s) == SQLITE_ROW;
	(void)sqlite3_finalize(s);
	return there && sqlite3_prepare_v2(l->db, sql, -1, out, NULL) != SQLITE_OK ? store_failed(l, e) : 0;
}

/* A row of two numbers, or none: both stay 0. */
static int two_numbers(
        struct logstore *l, const char *sql, const char *text, uint64_t *a, uint64_t *b, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	*a = *b = 0;
	if (prepare(l, sql, &s, e) < 0)
		return -1;
	if (!s)
		return 0;
	if (text)
		(void)sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		*a = (uint64_t)sqlite3_column_int64(s, 0);
		*b = (uint64_t)sqlite3_column_int64(s, 1);
	}
	(void)sqlite3_finalize(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : store_failed(l, e);
}

int cosigned_met(struct logstore *l, uint64_t *out_size, struct err *e)
{
	uint64_t n;

	return two_numbers(l, "SELECT max(size), count(*) FROM cosigned WHERE met", NULL, out_size, &n, e);
}

int cosigned_by(struct logstore *l, const char *vkey, uint64_t *out_size, uint64_t *out_time_s, struct err *e)
{
	return two_numbers(
	        l, "SELECT size, time_s FROM cosigners WHERE vkey = ?1", vkey, out_size, out_time_s, e);
}

static void append(char **out, size_t *n, const void *p, size_t len)
{
	*out = realloc(*out, *n + len + 1);
	CHECK(*out);
	if (len)
		memcpy(*out + *n, p, len);
	*n += len;
	(*out)[*n] = '\0';
}

/* The lines of those who cosigned the head of this size, in an order that does not change. */
static int append_lines(
        struct logstore *l, uint64_t size, const uint8_t root[32], char **out, size_t *n, struct err *e)
{
	sqlite3_stmt *s;
	int rc;

	if (prepare(l,
	            "SELECT line FROM cosignatures JOIN cosigned USING (size) WHERE size = ?1 AND root = ?2"
	            " ORDER BY vkey",
	            &s, e) < 0)
		return -1;
	if (!s)
		return 0;
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)size);
	(void)sqlite3_bind_blob(s, 2, root, 32, SQLITE_STATIC);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		append(out, n, sqlite3_column_text(s, 0), (size_t)sqlite3_column_bytes(s, 0));
	(void)sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : store_failed(l, e);
}

int cosigned_checkpoint(struct logstore *l, char **out, size_t *out_n, struct err *e)
{
	char *text = NULL;
	size_t n = 0;

	append(&text, &n, l->head.note, l->head.note_n);
	if (append_lines(l, l->head.size, l->head.root, &text, &n, e) < 0) {
		free(text);
		return -1;
	}
	*out = text;
	*out_n = n;
	return 0;
}

int cosigned_covering(
        struct logstore *l, uint64_t seq, uint64_t *out_size, char **out, size_t *out_n, struct err *e)
{
	sqlite3_stmt *s;
	uint8_t root[32];
	char *text = NULL;
	size_t n = 0;
	int rc;

	if (prepare(l,
	            "SELECT size, root, note FROM cosigned WHERE met AND size > ?1 AND size <= ?2"
	            " ORDER BY size DESC LIMIT 1",
	            &s, e) < 0)
		return -1;
	*out_size = l->head.size;
	if (!s)
		return cosigned_checkpoint(l, out, out_n, e);
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)seq);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)l->head.size);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW && store_blob(s, 1, root, 32)) {
		*out_size = (uint64_t)sqlite3_column_int64(s, 0);
		append(&text, &n, sqlite3_column_blob(s, 2), (size_t)sqlite3_column_bytes(s, 2));
	}
	(void)sqlite3_finalize(s);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_failed(l, e);
	if (!text)
		return cosigned_checkpoint(l, out, out_n, e);
	if (append_lines(l, *out_size, root, &text, &n, e) < 0) {
		free(text);
		return -1;
	}
	*out = text;
	*out_n = n;
	return 0;
}
