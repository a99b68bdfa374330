/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_pg - the journal's tables in PostgreSQL, who holds them, and taking them. See journal_pg.h.
 *
 *   head                                     one row: what the journal is, who may append, how far it goes
 *   entries, results, outputs, tiles, forgets   as journal_db.c draws them
 *   snapshots (seq, part, bytes)             the newest snapshot before history is dropped, in parts: who has none of its own begins here
 */
#include "io/journal_pg.h"

#include "base/check.h"
#include "wire/entry.h"

/* Bodies are stored as they are: compressing them would cost more than it saves. */
static const char schema_sql[] =
        "CREATE TABLE head (one int PRIMARY KEY CHECK (one = 1), format int NOT NULL, entry_format int NOT "
        "NULL,"
        " created_by text NOT NULL, id text NOT NULL, epoch bigint NOT NULL, holder text NOT NULL,"
        " renewed timestamptz NOT NULL, size bigint NOT NULL, leaf bytea NOT NULL, bytes bigint NOT NULL,"
        " drop_before bigint NOT NULL, dropped_to bigint NOT NULL, snapshot bigint NOT NULL,"
        " signed_size bigint NOT NULL DEFAULT 0, signed_root bytea NOT NULL DEFAULT '')"
        " WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);"
        "CREATE TABLE entries (seq bigint PRIMARY KEY, leaf bytea NOT NULL, body bytea NOT NULL);"
        "ALTER TABLE entries ALTER COLUMN body SET STORAGE EXTERNAL;"
        "CREATE TABLE results (job bigint, step bigint, level bigint, first bigint, seq bigint, count bigint "
        "NOT NULL,"
        " PRIMARY KEY (job, step, level, first, seq));"
        "CREATE TABLE outputs (seq bigint PRIMARY KEY, bytes bytea NOT NULL);"
        "ALTER TABLE outputs ALTER COLUMN bytes SET STORAGE EXTERNAL;"
        "CREATE TABLE tiles (n bigint PRIMARY KEY, hashes bytea NOT NULL);"
        "CREATE TABLE forgets (job bigint PRIMARY KEY);"
        "CREATE TABLE snapshots (seq bigint, part bigint, bytes bytea NOT NULL, PRIMARY KEY (seq, part));"
        "ALTER TABLE snapshots ALTER COLUMN bytes SET STORAGE EXTERNAL;";

static const char has_head[] = "SELECT 1::bigint FROM pg_tables WHERE schemaname = $1 AND tablename = 'head'";
static const char has_signed[] =
        "SELECT 1::bigint FROM information_schema.columns"
        " WHERE table_schema = $1 AND table_name = 'head' AND column_name = 'signed_size'";
static const char any_table[] = "SELECT 1::bigint FROM pg_tables WHERE schemaname = $1 LIMIT 1";

static int count_of(struct pg *c, const char *sql, bool *out, struct err *e)
{
	struct pg_value v = {.type = PG_TEXT, .p = pg_schema(c), .n = strlen(pg_schema(c))};
	struct pg_rows *r = NULL;

	if (pg_run(c, sql, &v, 1, &r, e) < 0)
		return -1;
	*out = pg_rows_n(r) > 0;
	pg_rows_free(r);
	return 0;
}

/* Of a record that was made before heads were noted in it. */
static int add_signed(struct pg *c, struct err *e)
{
	bool there = false;

	if (count_of(c, has_signed, &there, e) < 0)
		return -1;
	return there ? 0
	             : pg_script(c,
	                       "ALTER TABLE head ADD COLUMN IF NOT EXISTS signed_size bigint NOT NULL "
	                       "DEFAULT 0,"
	                       " ADD COLUMN IF NOT EXISTS signed_root bytea NOT NULL DEFAULT ''",
	                       e);
}

int pg_journal_create(struct pg *c, struct err *e)
{
	bool there = false, other = false;
	char sql[4096];
	int n;

	if (count_of(c, has_head, &there, e) < 0)
		return -1;
	if (there)
		return add_signed(c, e);
	if (count_of(c, any_table, &other, e) < 0)
		return -1;
	if (other) {
		(void)err_set(e, ERR_EXISTS, "the schema '%s' has tables that are not a journal of osier's",
		        pg_schema(c));
		return err_hint(e, "name another in the URL: ...?schema=NAME");
	}
	/* Two that come at once: the lock lets one make it, the other finds it. */
	n = snprintf(sql, sizeof(sql),
	        "BEGIN; SELECT pg_advisory_xact_lock(hashtext('osier %s')); CREATE SCHEMA IF NOT EXISTS "
	        "\"%s\"; %s"
	        "INSERT INTO head VALUES (1, %d, %u, 'osier " OSIER_VERSION
	        "', gen_random_uuid()::text, 0, '', clock_timestamp(), 0, '', 0, 0, 0, 0); COMMIT",
	        pg_schema(c), pg_schema(c), schema_sql, PG_FORMAT, ENTRY_FORMAT);
	CHECK(n > 0 && n < (int)sizeof(sql));
	if (pg_script(c, sql, e) == 0)
		return 0;
	if (pg_trouble(c) == PG_LOST)
		return -1;
	(void)pg_script(c, "ROLLBACK", NULL);
	if (count_of(c, has_head, &there, NULL) == 0 && there)
		return 0;
	return err_wrap(e, "cannot make the journal's tables");
}

#define STATE_COLUMNS                                                                                        \
	"id, holder, epoch, size, leaf, drop_before, dropped_to, (SELECT count(*) FROM forgets),"            \
	" (extract(epoch FROM clock_timestamp() - renewed) * 1000)::bigint, format, entry_format, "          \
	"snapshot, bytes"

static void take_text(const struct pg_rows *r, int column, char *out, size_t room)
{
	size_t n;
	const uint8_t *p = pg_cell(r, 0, column, &n);

	(void)snprintf(out, room, "%.*s", (int)(n < room ? n : room - 1), p ? (const char *)p : "");
}

/* ERR_NOTFOUND: no row. */
static int take_state(const struct pg_rows *r, struct pg_state *out, struct err *e)
{
	struct pg_state s = {.epoch = 0};
	const uint8_t *leaf;
	int64_t format, entry_format, age;
	size_t n;

	if (pg_rows_n(r) != 1)
		return err_set(e, ERR_NOTFOUND, "there is no journal in the record");
	format = pg_cell_i8(r, 0, 9, 0);
	entry_format = pg_cell_i8(r, 0, 10, 0);
	if (format > PG_FORMAT || entry_format > (int64_t)ENTRY_FORMAT) {
		(void)err_set(e, ERR_VERSION,
		        "the record has format %lld.%lld, and this osier (%s) knows up to %d.%u",
		        (long long)format, (long long)entry_format, OSIER_VERSION, PG_FORMAT, ENTRY_FORMAT);
		return err_hint(e, "use the newer osier that wrote it");
	}
	take_text(r, 0, s.id, sizeof(s.id));
	take_text(r, 1, s.holder, sizeof(s.holder));
	s.epoch = (uint64_t)pg_cell_i8(r, 0, 2, -1);
	s.size = (uint64_t)pg_cell_i8(r, 0, 3, -1);
	leaf = pg_cell(r, 0, 4, &n);
	if (s.epoch > INT64_MAX || s.size > INT64_MAX || (s.size > 0 && (!leaf || n != sizeof(s.leaf))))
		return err_set(e, ERR_CORRUPT, "the record's table 'head' is damaged");
	if (s.size > 0)
		memcpy(s.leaf, leaf, sizeof(s.leaf));
	s.drop_before = (uint64_t)pg_cell_i8(r, 0, 5, 0);
	s.dropped_to = (uint64_t)pg_cell_i8(r, 0, 6, 0);
	s.forgets = (uint64_t)pg_cell_i8(r, 0, 7, 0);
	s.snapshot = (uint64_t)pg_cell_i8(r, 0, 11, 0);
	s.bytes = (uint64_t)pg_cell_i8(r, 0, 12, 0);
	age = pg_cell_i8(r, 0, 8, 0);
	s.age_ms = age > 0 ? (uint64_t)age : 0;
	*out = s;
	return 0;
}

int pg_journal_state(struct pg *c, struct pg_state *out, struct err *e)
{
	static const char sql[] = "SELECT " STATE_COLUMNS " FROM head";
	struct pg_rows *r = NULL;
	bool there = false;
	int rc;

	if (count_of(c, has_head, &there, e) < 0)
		return -1;
	if (!there) {
		(void)err_set(e, ERR_NOTFOUND, "there is no journal in the schema '%s' of the record",
		        pg_schema(c));
		return err_hint(e, "is the URL right? an engine makes it at its first start with --record");
	}
	if (pg_run(c, sql, NULL, 0, &r, e) < 0)
		return -1;
	rc = take_state(r, out, e);
	pg_rows_free(r);
	return rc;
}

/* As long as its epoch is the one that was seen: a claim of ours that we gave up, and that the server carries out when what it waited for
 * is over, then takes nothing from whom has come since. *out_done false: that changed, or another engine holds it. */
static int claim(struct pg *c, const char *holder, struct pg_state *s, bool *out_done, struct err *e)
{
	static const char sql[] =
	        "UPDATE head SET epoch = epoch + 1, holder = $1, renewed = clock_timestamp()"
	        " WHERE epoch = $3 AND"
	        " (holder = $1 OR holder = '' OR renewed < clock_timestamp() - $2 * interval '1 ms')"
	        " RETURNING " STATE_COLUMNS;
	struct pg_value v[3] = {{.type = PG_TEXT, .p = holder, .n = strlen(holder)},
	        {.type = PG_I8, .i8 = PG_LEASE_MS}, {.type = PG_I8, .i8 = (int64_t)s->epoch}};
	struct pg_rows *r = NULL;
	int rc = 0;

	if (pg_run(c, sql, v, 3, &r, e) < 0)
		return -1;
	*out_done = pg_rows_n(r) == 1;
	if (*out_done)
		rc = take_state(r, s, e);
	pg_rows_free(r);
	return rc;
}

int pg_journal_claim(struct pg *c, const char *holder, struct pg_state *out, struct err *e)
{
	bool done = false;
	uint64_t seen;

	if (pg_journal_state(c, out, e) < 0)
		return -1;
	do {
		seen = out->epoch;
		if (claim(c, holder, out, &done, e) < 0)
			return -1;
		if (done)
			return 0;
		if (pg_journal_state(c, out, e) < 0)
			return -1;
	} while (out->epoch != seen);
	(void)err_set(e, ERR_EXISTS, "the record is held by the engine %.120s, which renewed it %.1f s ago",
	        out->holder, (double)out->age_ms / 1000.0);
	return err_hint(
	        e, "'osier hub --standby' lets this one stand by for it; or end that one with 'osier down'");
}

void pg_journal_channel(const struct pg *c, char out[PG_SCHEMA_MAX + 16])
{
	(void)snprintf(out, PG_SCHEMA_MAX + 16, "osier_%s", pg_schema(c));
}
