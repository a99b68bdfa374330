/* SPDX-License-Identifier: Apache-2.0 */
/* logstore_piece - entries of the log for who keeps a copy of it (core/logpiece.h): see logstore.h. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/ledger.h"
#include "core/logpiece.h"
#include "io/logstore_int.h"

struct gathering {
	struct merkle_hash h;
	uint8_t *items;
	size_t n, room;
	uint32_t count;
};

/* The next entry, when it fits; ERR_FULL: it does not, which is the end. */
static int gather(
        void *ctx, uint64_t seq, const uint8_t leaf[32], const uint8_t *bytes, size_t n, struct err *e)
{
	struct gathering *g = ctx;
	uint8_t standin[LEDGER_STANDIN];

	(void)seq;
	if (n > LEDGER_PLAIN_MAX) {
		ledger_standin(&g->h, bytes, n, standin);
		bytes = standin;
		n = sizeof(standin);
	}
	if (n == 0)
		bytes = NULL;
	if (logpiece_item_size(bytes, n) > g->room - g->n)
		return err_set(e, ERR_FULL, "the piece is full");
	g->n += logpiece_put(g->items + g->n, bytes, n, leaf);
	g->count++;
	return 0;
}

/* The head for so many entries, and all of it in one. */
static int assemble(struct logstore *l, uint64_t from, uint64_t size, const struct gathering *g,
        const char *note, size_t note_n, uint8_t **out, size_t *out_n, struct err *e)
{
	struct logpiece p = {.from = from, .count = g->count};
	struct proof_source s = logstore_source(l);
	struct merkle_hash h = logstore_hash(l);

	p.head.old = from + g->count;
	p.head.note = note;
	p.head.note_n = note_n;
	if (proof_consistency(&h, &s, p.head.old, size, &p.head.path, e) < 0)
		return -1;
	*out = malloc(logpiece_front_size(&p.head) + g->n);
	CHECK(*out);
	*out_n = logpiece_front(&p, *out);
	memcpy(*out + *out_n, g->items, g->n);
	*out_n += g->n;
	return 0;
}

int logstore_piece(struct logstore *l, uint64_t from, const char *note, size_t note_n, size_t max,
        uint8_t **out, size_t *out_n, struct err *e)
{
	struct gathering g = {.h = sha256_merkle(l->sha)};
	struct checkpoint c;
	struct note parsed;
	struct err why = {0};
	uint64_t to;
	int rc;

	CHECK(max >= LOGPIECE_BYTES_MIN && max <= LOGPIECE_BYTES_MAX);
	if (note_parse(note, note_n, &parsed, e) < 0 ||
	        checkpoint_parse(parsed.text, parsed.text_n, &c, e) < 0)
		return -1;
	if (from >= c.size || c.size > l->head.size)
		return err_set(e, ERR_INVALID, "there is nothing of that head from that entry on");
	if (note_n > LOGPIECE_HEAD_MAX / 2)
		return err_set(e, ERR_INVALID, "the head is too long for a piece of a log");
	to = c.size - from < LOGPIECE_COUNT_MAX ? c.size : from + LOGPIECE_COUNT_MAX;
	g.room = max - LOGPIECE_HEAD_MAX - 64;
	g.items = malloc(g.room);
	CHECK(g.items);
	rc = journal_audit(l->reader, from, to, gather, &g, &why);
	if (rc < 0 && why.code == ERR_FULL && g.count)
		rc = 0;
	if (rc < 0 && e)
		*e = why;
	if (rc == 0)
		rc = assemble(l, from, c.size, &g, note, note_n, out, out_n, e);
	free(g.items);
	return rc;
}
