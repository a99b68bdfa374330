/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standby - a node that folds what another engine adds to their record, answers questions, and takes over; see node_int.h.
 *
 * Until then it decides nothing and does not speak with its keeper. It writes snapshots as a primary does, so that neither its
 * own start nor its taking over has much to read.
 */
#include <stdio.h>

#include "base/check.h"
#include "engine/broker.h"
#include "engine/node_int.h"
#include "engine/successor.h"

int standby_open(struct node *n, struct err *e)
{
	struct journal_record r;
	char hub[4096];

	(void)e;
	(void)snprintf(hub, sizeof(hub), "%.3900s/hub", n->state_dir);
	broker_end_left(hub);
	n->standby = recovery_new(n);
	node_watch_journal(n);
	successor_open(n);
	if (journal_record(n->journal, &r))
		(void)fprintf(stderr, "osier: standing by for the record at %s, %llu entries so far\n",
		        r.place, (unsigned long long)n->size);
	return 0;
}

int standby_entry(void *node, uint64_t seq, const uint8_t *bytes, size_t size, struct err *e)
{
	struct node *n = node;

	CHECK(n->standby && seq == n->size);
	if (recovery_entry(n->standby, seq, bytes, size, e) < 0)
		return -1;
	n->size = seq + 1;
	successor_entry(n, bytes, size);
	snapshots_note(n, size);
	return 0;
}

/* The record is ours. What was decided so far is folded: go on as after any start. */
void standby_primary(void *node)
{
	struct node *n = node;
	struct err e;

	(void)fprintf(stderr, "osier: this node has taken over the record, at entry %llu\n",
	        (unsigned long long)n->size);
	standby_close(n);
	n->read_only = false;
	n->now_ns = 0;
	if (node_open_live(n, &e) == 0)
		return;
	n->broken = true;
	n->broken_why = e;
	uv_stop(&n->loop);
}

void standby_close(struct node *n)
{
	successor_close(n);
	recovery_free(n->standby);
	n->standby = NULL;
}
