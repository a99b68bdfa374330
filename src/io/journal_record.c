/* SPDX-License-Identifier: Apache-2.0 */
/* journal_record - a journal whose rows lie in PostgreSQL: finding it, taking it, following it, taking it over. See journal_int.h. */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "core/ledger.h"
#include "io/journal_follow.h"

#define REACH_TRIES 100 /* 20 s */

/* ---- where ---- */

static bool has_own_journal(const struct journal *j)
{
	char *db = path_in(j->dir, "journal.db");
	struct stat st;
	bool there = lstat(db, &st) == 0;

	free(db);
	return there;
}

static int two_journals(const struct journal *j, struct err *e)
{
	(void)err_set(e, ERR_EXISTS, "the folder '%s' has a journal of its own beside its record", j->dir);
	return err_hint(
	        e, "carry it over with 'osier journal move --to URL', or choose another folder with --state");
}

int record_find(struct journal *j, struct err *e)
{
	struct record *r = must_grow(NULL, sizeof(*r));
	bool found = false;

	memset(r, 0, sizeof(*r));
	j->record = r;
	/* What --record says is written anew, whatever lies there. */
	if (record_load(j->dir, r, &found, e) < 0 && !(j->o.record && e && e->code == ERR_CORRUPT))
		return -1;
	if (!found && !j->o.record)
		return 0;
	if (has_own_journal(j))
		return two_journals(j, e);
	if (j->o.record) {
		if (pg_url_check(j->o.record, e) < 0)
			return -1;
		(void)snprintf(r->url, sizeof(r->url), "%s", j->o.record);
		r->standby = j->o.standby;
	}
	r->standby |= j->o.standby;
	j->on_record = true;
	return found ? record_own(j->dir, r, e) : 0;
}

/* ---- taking it ---- */

static int other_journal(const struct journal *j, const struct pg_state *s, struct err *e)
{
	char place[PG_PLACE_MAX];

	if (!j->record->journal[0] || strcmp(j->record->journal, s->id) == 0)
		return 0;
	pg_url_place(j->record->url, place);
	(void)err_set(e, ERR_CORRUPT,
	        "the journal at %.80s is not the one that the folder '%.80s' belongs to", place, j->dir);
	return err_hint(e, "is it the right URL? else begin with an empty folder: --state");
}

static int save(struct journal *j, const struct pg_state *s, struct err *e)
{
	(void)snprintf(j->record->journal, sizeof(j->record->journal), "%s", s->id);
	return record_save(j->dir, j->record, e);
}

/* A record that was there before is waited for: who starts again should not give up because the database does, too. */
static int reach(struct journal *j, struct pg **out, struct err *e)
{
	struct timespec pause = {.tv_nsec = 200000000};
	struct err why;

	for (int i = 0;; i++) {
		if (pg_open(j->record->url, PG_WAIT_MS, out, &why) == 0)
			return 0;
		if (why.code != ERR_CLOSED || !j->record->journal[0] || i == REACH_TRIES || j->standby_left) {
			if (e)
				*e = why;
			return -1;
		}
		(void)nanosleep(&pause, NULL);
	}
}

int record_take(struct journal *j, struct err *e)
{
	struct pg *c = NULL;
	struct pg_state s;
	struct err why = {0};
	int rc = reach(j, &c, e);

	if (rc == 0)
		rc = pg_journal_create(c, e);
	if (rc == 0)
		rc = pg_journal_state(c, &s, e);
	if (rc == 0)
		rc = other_journal(j, &s, e);
	if (rc == 0)
		rc = save(j, &s, e); /* before the claim, which is made in the name that is saved */
	if (rc == 0 && !j->standby_left)
		rc = pg_snapshot_fetch(c, j->dir, &s, e);
	if (rc == 0 && pg_journal_claim(c, j->record->holder, &s, &why) < 0) {
		if (why.code == ERR_EXISTS && j->record->standby)
			j->standby = true;
		else
			rc = -1;
		if (rc < 0 && e) {
			*e = why;
			/* It was ours, and something of ours may still run. */
			e->code = why.code == ERR_EXISTS && j->record->epoch ? ERR_FENCED : why.code;
		}
	}
	if (rc < 0 || j->standby) {
		pg_close(c);
		return rc;
	}
	j->was_elsewhere = s.epoch != j->record->epoch + 1;
	j->record->epoch = s.epoch;
	if (record_save(j->dir, j->record, e) < 0) {
		pg_close(c);
		return -1;
	}
	pg_writer_init(&j->writer, c, j->record, j->dir, &s);
	j->kept_ns = 0;
	j->db_bytes = s.bytes;
	j->wal_soft = j->wal_idle = UINT64_MAX; /* there is no log of ours */
	j->retry_after_ns = (j->o.full_retry_ms ? j->o.full_retry_ms : 250) * (uint64_t)1000000;
	j->drop_more = j->writer.forgetting || j->writer.drop_from < j->writer.drop_before;
	j->history_from = j->writer.drop_before;
	return 0;
}

int record_check(struct journal *j, struct err *e)
{
	if (j->durable == j->writer.next_seq)
		return 0;
	return err_set(e, ERR_CORRUPT, "the record says that it has %llu entries, and has %llu",
	        (unsigned long long)j->writer.next_seq, (unsigned long long)j->durable);
}

/* ---- following ---- */

int record_follow(struct journal *j, struct err *e)
{
	return follower_start(j->record, j->tree.size, j->event_fd, &j->follower, e);
}

void record_unfollow(struct journal *j)
{
	follower_stop(j->follower);
	j->follower = NULL;
}

static void fail(struct journal *j, const struct err *e)
{
	(void)pthread_mutex_lock(&j->mutex);
	j->failed = true;
	j->failure = *e;
	(void)pthread_mutex_unlock(&j->mutex);
}

/* One more entry that another engine made durable. */
static int take_in(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct journal *j = ctx;
	struct merkle_hash h = sha256_merkle(j->sha);
	uint8_t hash[MERKLE_HASH_BYTES];

	if (seq != j->tree.size)
		return reader_corrupt(e, j->tree.size, "is missing");
	ledger_leaf(&h, bytes, n, hash);
	if (memcmp(hash, leaf, sizeof(hash)) != 0)
		return reader_corrupt(e, seq, "is not what its hash says");
	memcpy(j->last_leaf, hash, sizeof(hash));
	merkle_append(&j->tree, &h, hash);
	(void)pthread_mutex_lock(&j->mutex);
	j->durable = j->tree.size;
	(void)pthread_mutex_unlock(&j->mutex);
	j->reported = j->tree.size;
	return j->o.on_entry ? j->o.on_entry(j->o.ctx, seq, bytes, n, e) : 0;
}

static int take_queue(struct journal *j, struct followed *q, struct err *e)
{
	size_t at = 0;

	for (uint64_t i = 0; i < q->n; i++) {
		const uint8_t *leaf = q->bytes + at + sizeof(uint32_t);
		uint32_t n;

		memcpy(&n, q->bytes + at, sizeof(n));
		if (take_in(j, q->first + i, leaf, leaf + MERKLE_HASH_BYTES, n, e) < 0)
			return -1;
		at += sizeof(n) + MERKLE_HASH_BYTES + n;
	}
	return 0;
}

/* ---- taking it over ---- */

/* The record is ours: what was added after our last look, until the claim. */
static int catch_up(struct journal *j, struct err *e)
{
	struct journal_reader *r = NULL;
	int rc = 0;

	if (j->tree.size < j->writer.next_seq)
		rc = journal_reader_open(j->dir, &r, e);
	while (rc == 0 && j->tree.size < j->writer.next_seq) {
		uint64_t from = j->tree.size, left = j->writer.next_seq - from;

		rc = r->ops->scan(r, from, from + (left > SCAN_ROWS ? SCAN_ROWS : left), take_in, j, e);
		if (rc == 0 && j->tree.size == from)
			rc = reader_corrupt(e, from, "is missing");
	}
	journal_reader_close(r);
	return rc < 0 ? -1 : record_check(j, e);
}

static int take_over(struct journal *j, struct err *e)
{
	j->standby = false;
	j->standby_left = true;
	if (record_take(j, e) < 0) {
		j->standby = true;
		return e->code == ERR_CLOSED || e->code == ERR_FULL || e->code == ERR_SYSTEM ? 0 : -1;
	}
	if (j->standby) /* another standby was quicker */
		return 0;
	record_unfollow(j);
	if (catch_up(j, e) < 0 || start_commit_thread(j, e) < 0)
		return -1;
	if (j->o.on_primary)
		j->o.on_primary(j->o.ctx);
	return 0;
}

void record_poll(struct journal *j)
{
	struct followed q = {0};
	struct err e;
	int rc = 0;

	if (j->failed)
		return;
	do {
		follower_take(j->follower, &q);
		rc = take_queue(j, &q, &e);
	} while (rc == 0 && q.n > 0);
	free(q.bytes);
	if (rc == 0 && follower_failed(j->follower, &e))
		rc = -1;
	if (rc == 0 && follower_vacant(j->follower))
		rc = take_over(j, &e);
	if (rc < 0)
		fail(j, &e);
}

/* ---- what is told ---- */

void journal_keep_record(struct journal *j)
{
	pg_writer_let_go(&j->writer, false);
}

bool journal_was_elsewhere(const struct journal *j)
{
	return j->on_record && j->was_elsewhere;
}

bool journal_is_standby(const struct journal *j)
{
	return j->standby;
}

uint64_t record_bytes(const struct journal *j)
{
	struct pg_state s;

	return j->follower && follower_state(j->follower, &s) ? s.bytes : 0;
}

bool journal_record(const struct journal *j, struct journal_record *out)
{
	struct pg_state s;

	if (!j->on_record)
		return false;
	memset(out, 0, sizeof(*out));
	pg_url_place(j->record->url, out->place);
	if (!j->standby || !follower_state(j->follower, &s))
		return true;
	(void)snprintf(out->holder, sizeof(out->holder), "%s", s.holder);
	out->behind = s.size > j->tree.size ? s.size - j->tree.size : 0;
	out->heard_ms = s.age_ms;
	return true;
}
