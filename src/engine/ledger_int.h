/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_int - what ledger.c (when is published) and ledger_keys.c (who signs) share; for nobody else. Loop thread. */
#ifndef OSIER_ENGINE_LEDGER_INT_H
#define OSIER_ENGINE_LEDGER_INT_H

#include "core/keyset.h"
#include "engine/node_int.h"
#include "io/ethkey.h"
#include "io/keys.h"
#include "io/logstore.h"

#define RING_MAX 32u

/* The secret keys at hand. It only grows, so that a pass under way may use those that were there when it began. */
struct ring {
	struct key log[RING_MAX], node[RING_MAX];
	unsigned logs, nodes;
};

struct ledger_wait {
	struct ledger_wait *next;
	uint64_t size; /* called when that many entries are published, and no result is without a receipt */
	ledger_fn fn;
	void *ctx;
};

struct ledger_watch {
	struct ledger_watch *next;
	struct ledger *ledger;
	uint64_t size; /* called when that many entries are published */
	ledger_fn fn;
	void *ctx;
};

struct ledger {
	struct node *node;
	struct logstore *store; /* of the thread of the pool while busy, else of the loop */
	struct ring ring;
	struct keyset set; /* as the log said when it was read, and what was decided since */
	uv_timer_t timer;
	uv_work_t work;
	bool timer_open, armed, busy, closing, failed;
	bool keys_told; /* the log was read: `set` is all that it says, and our keys are in it */
	uint64_t
	        tidy_size; /* when that many entries are published, files of keys get their names; 0: never */
	char anchor[EVM_ADDRESS_TEXT]; /* the account that anchors heads; "": none */
	uint64_t found;                /* entries in the journal when the node started */
	uint64_t published;            /* entries under the last head */
	uint64_t receipts; /* published + 1 of the Receipts entry that is not yet published; 0: none */
	bool pending;      /* results without a receipt are known of */
	struct ledger_wait *waits;
	struct ledger_watch *watches;
	/* of the pass under way */
	uint64_t to;
	unsigned keys_n;            /* of the ring */
	const struct key *node_key; /* signs what was run; NULL: nobody, as long as the log was not read */
	const Wire__Receipts *made;
	struct err why;
	bool ok;
};

/* Read STATE/keys, or make the first keys; the log's name is that of its keys. */
int ledger_open_keys(struct ledger *l, struct err *e);
void ledger_forget_keys(struct ledger *l);
/* Once the log was read: is it written down with which keys this node speaks? */
void ledger_tell_keys(struct ledger *l);
/* The key that signs what is run from now on. NULL: its file is not there. */
const struct key *ledger_node_key(const struct ledger *l);
/* Give the files of keys the names that go with what the log says. */
void ledger_tidy_keys(struct ledger *l);

#endif
