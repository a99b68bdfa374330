/* SPDX-License-Identifier: Apache-2.0 */
/* logstore_anchors - see anchored.h. */
#include "io/anchored.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "core/evm.h"
#include "io/ethkey.h"
#include "io/logstore_int.h"

#define ENDED "(4, 5, 8)" /* as anchored_ended() */

/* A table that older stores have not, and older programs do not look at: no new format. */
static const char schema[] =
        "CREATE TABLE IF NOT EXISTS anchors (kind INTEGER, place TEXT, size INTEGER, root BLOB NOT NULL, "
        "note BLOB NOT "
        "NULL, state INTEGER NOT NULL, time_s INTEGER NOT NULL, proof BLOB NOT NULL, details TEXT NOT NULL,"
        " PRIMARY KEY (kind, place, size)) WITHOUT ROWID;"
        "CREATE INDEX IF NOT EXISTS anchors_state ON anchors (state, kind, place, size);";

static const char put_sql[] =
        "INSERT INTO anchors (kind, place, size, root, note, state, time_s, proof, details)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        " ON CONFLICT DO UPDATE SET root = ?4, note = ?5, state = ?6, time_s = ?7, proof = ?8, details = ?9"
        " WHERE state NOT IN " ENDED;

static const char *const state_names[ANCHORED_STATES] = {
        "sent", "replaced", "mined", "lost", "final", "already", "failed", "pending", "stamped"};
static const char *const kind_names[] = {"chain", "authority", "calendars"};

const char *anchored_kind_name(enum anchored_kind k)
{
	return kind_names[k];
}

const char *anchored_state_name(enum anchored_state s)
{
	return state_names[s];
}

static int word(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return (int)i;
	return -1;
}

int anchored_kind_of(const char *name)
{
	return word(name, kind_names, ARRAY_LEN(kind_names));
}

int anchored_state_of(const char *name)
{
	return word(name, state_names, ARRAY_LEN(state_names));
}

bool anchored_ended(enum anchored_state s)
{
	return s == ANCHORED_FINAL || s == ANCHORED_ALREADY || s == ANCHORED_STAMPED;
}

/* ---- keeping ---- */

static int failed(sqlite3 *db, struct err *e)
{
	return err_set(e, (sqlite3_errcode(db) & 0xff) == SQLITE_FULL ? ERR_FULL : ERR_SYSTEM,
	        "cannot use the ledger's store: %s", sqlite3_errmsg(db));
}

static int put(sqlite3 *db, const struct anchored *a, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = -1;

	if (sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK ||
	        sqlite3_prepare_v2(db, put_sql, -1, &s, NULL) != SQLITE_OK)
		return failed(db, e);
	(void)sqlite3_bind_int(s, 1, (int)a->kind);
	(void)sqlite3_bind_text(s, 2, a->place, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 3, (sqlite3_int64)a->size);
	(void)sqlite3_bind_blob(s, 4, a->root, 32, SQLITE_STATIC);
	(void)sqlite3_bind_blob(s, 5, a->note, (int)a->note_n, SQLITE_STATIC);
	(void)sqlite3_bind_int(s, 6, (int)a->state);
	(void)sqlite3_bind_int64(s, 7, (sqlite3_int64)a->time_s);
	(void)sqlite3_bind_blob(
	        s, 8, a->proof_n ? a->proof : (const void *)"", (int)a->proof_n, SQLITE_STATIC);
	(void)sqlite3_bind_text(s, 9, a->details, -1, SQLITE_STATIC);
	rc = sqlite3_step(s) == SQLITE_DONE ? 0 : failed(db, e);
	(void)sqlite3_finalize(s);
	return rc;
}

int anchored_put(const char *dir, const struct anchored *a, struct err *e)
{
	sqlite3 *db = NULL;
	char path[4096];
	int rc = -1;

	if (snprintf(path, sizeof(path), "%s/ledger.db", dir) >= (int)sizeof(path))
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	if (access(path, F_OK) < 0)
		return err_set(e, ERR_NOTFOUND, "nothing was published yet");
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		rc = failed(db, e);
	} else {
		(void)sqlite3_busy_timeout(db, 30000);
		rc = sqlite3_exec(db, "PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF;", NULL, NULL,
		             NULL) == SQLITE_OK
		             ? put(db, a, e)
		             : failed(db, e);
	}
	(void)sqlite3_close(db);
	return rc;
}

/* ---- reading ---- */

/* No table: nothing was ever anchored, and *out is NULL. */
static int prepare(struct logstore *l, const char *sql, sqlite3_stmt **out, struct err *e)
{
	sqlite3_stmt *s = NULL;
	bool there = false;

	*out = NULL;
	if (sqlite3_prepare_v2(l->db, "SELECT 1 FROM sqlite_schema WHERE name = 'anchors'", -1, &s, NULL) !=
	        SQLITE_OK)
		return store_failed(l, e);
	there = sqlite3_step(s) == SQLITE_ROW;
	(void)sqlite3_finalize(s);
	if (there && sqlite3_prepare_v2(l->db, sql, -1, out, NULL) != SQLITE_OK)
		return store_failed(l, e);
	return 0;
}

/* A row of kind, place, size, root, note, state, time_s, proof, details; borrowed until the next step. */
static bool row(sqlite3_stmt *s, struct anchored *out)
{
	int kind = sqlite3_column_int(s, 0), state = sqlite3_column_int(s, 5);

	*out = (struct anchored){.kind = (enum anchored_kind)kind,
	        .state = (enum anchored_state)state,
	        .place = (const char *)sqlite3_column_text(s, 1),
	        .size = (uint64_t)sqlite3_column_int64(s, 2),
	        .time_s = (uint64_t)sqlite3_column_int64(s, 6),
	        .note = sqlite3_column_blob(s, 4),
	        .note_n = (size_t)sqlite3_column_bytes(s, 4),
	        .proof = sqlite3_column_blob(s, 7),
	        .proof_n = (size_t)sqlite3_column_bytes(s, 7),
	        .details = (const char *)sqlite3_column_text(s, 8)};
	return kind >= 0 && kind <= ANCHORED_CALENDARS && state >= 0 && state < ANCHORED_STATES &&
	       out->place && out->note && out->details && store_blob(s, 3, out->root, 32);
}

#define COLUMNS "kind, place, size, root, note, state, time_s, proof, details"

int anchored_list(struct logstore *l, int kind, const char *place, uint64_t limit,
        int (*each)(void *ctx, const struct anchored *a), void *ctx, struct err *e)
{
	struct anchored a;
	sqlite3_stmt *s;
	int rc = SQLITE_DONE;

	if (prepare(l,
	            "SELECT " COLUMNS
	            " FROM anchors WHERE (?2 < 0 OR kind = ?2) AND (?3 IS NULL OR place = ?3)"
	            " ORDER BY size DESC, kind, place LIMIT ?1",
	            &s, e) < 0)
		return -1;
	if (!s)
		return 0;
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)(limit > INT64_MAX ? INT64_MAX : limit));
	(void)sqlite3_bind_int(s, 2, kind);
	(void)sqlite3_bind_text(s, 3, place, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if (!row(s, &a) || each(ctx, &a) < 0)
			break;
	(void)sqlite3_finalize(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_failed(l, e);
}

/* ---- for receipts ---- */

/* Bytes that outlive the statement. */
static bool keep(struct logstore *l, const void *p, size_t n, ProtobufCBinaryData *out)
{
	out->data = arena_dup(&l->g.arena, p ? p : "", n);
	out->len = n;
	return out->data != NULL;
}

static bool sender(const uint8_t *raw, size_t n, uint8_t out[20])
{
	struct evm_sig sig;
	struct evm_tx t;
	uint8_t hash[32];

	if (evm_tx_parse(raw, n, &t, &sig, NULL) < 0)
		return false;
	evm_tx_sighash(&t, hash);
	return ethkey_recover(&sig, hash, out);
}

static int add_head(
        struct logstore *l, uint64_t seq, const struct anchored *a, Wire__ReceiptFile *f, struct err *e)
{
	struct merkle_hash h = sha256_merkle(l->sha);
	struct proof_source source = logstore_source(l);
	Wire__AnchoredHead *m = arena_alloc(&l->g.arena, sizeof(*m));
	struct proof *p = arena_alloc(&l->g.arena, sizeof(*p));
	uint8_t account[20];

	if (m && p) {
		wire__anchored_head__init(m);
		m->by = (Wire__AnchoredHead__By)a->kind;
		m->path = arena_calloc(&l->g.arena, PROOF_MAX, sizeof(*m->path));
	}
	if (!m || !p || !m->path || !keep(l, a->note, a->note_n, &m->note) ||
	        !keep(l, a->proof, a->proof_n, &m->proof))
		return err_set(e, ERR_FULL, "the receipt is too large");
	if (a->kind == ANCHORED_CHAIN &&
	        (!sender(a->proof, a->proof_n, account) || !keep(l, account, 20, &m->account)))
		return 0; /* not what this version sends: a receipt without it is still one */
	if (a->size <= seq || a->size > l->head.size)
		return 0;
	if (proof_inclusion(&h, &source, seq, a->size, p, e) < 0)
		return -1;
	m->n_path = p->n;
	for (unsigned i = 0; i < p->n; i++)
		m->path[i] = (ProtobufCBinaryData){32, p->hash[i]};
	f->heads[f->n_heads++] = m;
	return 0;
}

/* The first head after the entry at each place; of what has not ended (`ended` false) only where nothing has, and only what is in a
 * block: what is pending in calendars proves nothing, and nothing in it could be checked. */
static int add_heads(struct logstore *l, uint64_t seq, bool ended, Wire__ReceiptFile *f, struct err *e)
{
	static const char firsts[] = "WITH firsts AS (SELECT kind, place, min(size) AS size FROM anchors "
	                             "WHERE state IN (4, 8) AND size > ?1"
	                             " GROUP BY kind, place), open AS (SELECT kind, place, min(size) AS size "
	                             "FROM anchors WHERE state = 2"
	                             " AND size > ?1 GROUP BY kind, place) ";
	static const char of_ended[] = "SELECT " COLUMNS " FROM anchors JOIN firsts USING (kind, place, size)"
	                               " ORDER BY kind, place LIMIT 16";
	static const char of_open[] =
	        "SELECT " COLUMNS " FROM anchors JOIN open USING (kind, place, size)"
	        " WHERE NOT EXISTS (SELECT 1 FROM firsts f WHERE f.kind = anchors.kind AND"
	        " f.place = anchors.place) ORDER BY kind, place LIMIT 16";
	char sql[1200];
	sqlite3_stmt *s;
	struct anchored a;
	int rc = SQLITE_DONE, ok = 0;

	CHECK(snprintf(sql, sizeof(sql), "%s%s", firsts, ended ? of_ended : of_open) < (int)sizeof(sql));
	if (prepare(l, sql, &s, e) < 0)
		return -1;
	if (!s)
		return 0;
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)seq);
	while (ok == 0 && f->n_heads < ANCHORED_HEADS_MAX && (rc = sqlite3_step(s)) == SQLITE_ROW)
		if (row(s, &a) && a.proof_n)
			ok = add_head(l, seq, &a, f, e);
	(void)sqlite3_finalize(s);
	return ok < 0 ? -1 : rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_failed(l, e);
}

int anchors_covering(struct logstore *l, uint64_t seq, Wire__ReceiptFile *f, struct err *e)
{
	f->heads = arena_calloc(&l->g.arena, ANCHORED_HEADS_MAX, sizeof(*f->heads));
	if (!f->heads)
		return err_set(e, ERR_FULL, "the receipt is too large");
	return add_heads(l, seq, true, f, e) < 0 ? -1 : add_heads(l, seq, false, f, e);
}
