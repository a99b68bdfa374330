/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_int - the inside of a node, for node*.c, round.c, recover.c, snapshot.c, history.c and exec*.c alone.
 *
 * Who does what: round.c decides, applies, holds and releases; recover.c folds the journal and speaks first with the keeper;
 * exec*.c carries effects out; snapshot.c and history.c keep recovery and disk bounded. All on the loop thread.
 */
#ifndef OSIER_ENGINE_NODE_INT_H
#define OSIER_ENGINE_NODE_INT_H

#include "base/arena.h"
#include "core/note.h"
#include "core/sched.h"
#include "engine/config.h"
#include "engine/held.h"
#include "engine/node.h"
#include "engine/spec_cache.h"
#include "io/blobs.h"
#include "io/clock.h"
#include "io/journal.h"

struct exec;
struct recovery;
struct snapshots;
struct history;
struct ledger;
struct links;
struct node_messenger;
struct hub;
struct hub_copies;
struct node_carrier;
struct parent;
struct successor;
struct witness;
struct witnesses;

struct node_watch {
	struct node_watch *next, *prev;
	struct node *node;
	uint64_t job; /* 0: any */
	node_watch_fn fn;
	void *ctx;
	bool due, dead;
};

/* An answer that did not reach the core, given at the end of the round. */
struct node_early {
	struct node_early *next;
	node_answer_fn fn;
	void *ctx;
	struct node_answer answer;
};

/* A device as it was announced, and what its vendor's tools call it. */
struct machine_device {
	char resource[CONFIG_NAME_MAX + 1];
	uint32_t index, number;
	char vendor; /* see start.h */
};

struct node {
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t again;  /* active only while a round was cut short */
	uv_timer_t timer; /* engine_deadline_ns() */
	uv_timer_t rest;  /* once: the start is over */
	uv_poll_t journal_poll;
	uv_signal_t term, interrupt;
	bool loop_open;

	char *state_dir;
	char name[CONFIG_NAME_MAX + 1];
	char notices[1024];
	void *config_mem;
	struct arena config_arena;
	struct config config;

	struct machine_device devices[DEVICES_PER_NODE_MAX];
	size_t n_devices;
	bool has_gpus;

	struct clock clock;
	uint64_t now_ns;   /* of this round; 0: read the clock again */
	uint64_t armed_ns; /* what the timer is set for; 0: not set */

	void *region;
	size_t region_bytes;
	struct engine *engine;
	struct journal *journal;
	struct journal_reader *reader;
	struct blobs *blobs;
	struct spec_cache *specs;
	struct exec *exec;
	struct snapshots *snapshots;
	struct history *history;
	struct ledger *ledger;            /* NULL: only looking, or the ledger cannot be used (see notices) */
	struct witnesses *witnesses;      /* of its own log; NULL: none are asked */
	struct witness *witness;          /* NULL: it witnesses no other log */
	struct node_messenger *messenger; /* NULL: nobody needs one */
	struct links *links;              /* NULL: only looking */
	struct fabric *fabric;            /* NULL: it does not witness over links: fabric.h */
	struct listener *listener;        /* NULL: the log is not served to strangers */
	struct parent *parent;            /* likewise: parent.h */
	struct parent_doubt *doubt;
	struct node_carrier *carrier; /* likewise: carrier.h */
	struct hub_copies *copies;    /* of a hub: hub_copies.h */
	struct successor *successor;  /* of a standby: successor.h */
	struct hub *hub;              /* made when it is first asked for: hub.h */
	bool read_only;
	int keeper_fd;
	const char *config_path; /* NULL: that of the state folder */
	const char *record;      /* of node_options; during node_open() */
	bool want_standby;
	struct recovery *standby; /* NULL: it is none */
	bool keeper_root;         /* the keeper may run tasks as anybody */

	struct entry_list entries;
	struct arena arena;
	void *arena_mem;
	struct effect_list effects;
	uint8_t *buf; /* an encoded entry */
	size_t buf_max;
	struct held held;
	uint64_t size;     /* entries in the journal, durable or not */
	uint64_t released; /* of them, those whose effects were carried out */
	uint64_t answers;  /* pushed since the last flush */
	uint64_t in_batch; /* entries since the last flush */
	bool dirty;        /* something was applied or became free: tick */
	bool in_command;   /* no nesting */
	bool in_round;     /* nor there */
	bool running, stopping, handing_over;
	bool broken; /* the journal failed */
	struct err broken_why;
	uint64_t disk_checked_ns;
	bool disk_low;

	struct node_early *early, **early_end;
	struct node_watch *watches;
	bool watches_due;
};

/* ---- round.c ---- */

void round_init(struct node *n);
/* Tell everybody who still waits that nothing comes any more. The API is closed by then: who asked knows. */
void round_close(struct node *n);
void round_release(struct node *n);
/* Decide, apply, add to the batch; entries of Results are stored with `outputs`. What came of it in *out_answer (may be NULL). */
void round_command(struct node *n, const struct command *cmd, const uint8_t *outputs, size_t output_bytes,
        struct node_answer *out_answer);
/* Results of a lease: as round_command(), and exec_ack() when they are durable. */
void round_results(
        struct node *n, const Wire__Results *r, const uint8_t *outputs, size_t output_bytes, uint64_t who);
/* exec_ack(lease, cursor, who) when all that was decided so far is durable. */
void round_hold_ack(struct node *n, lease_id lease, uint64_t cursor, uint64_t who);
/* exec_slot_free(slot) when all that was decided so far is durable. */
void round_hold_slot(struct node *n, uint32_t slot);
/* End of the round: executor, ticks, flush, timer. Called by the loop before it waits and after it was woken. */
void round_end(struct node *n);
/* Entries up to `durable` (their number) are durable: give answers, carry out effects. */
void round_release_held(struct node *n, uint64_t durable);
uint64_t round_now_ns(struct node *n);

/* ---- recover.c ---- */

int recover_fold(struct node *n, struct err *e);
/* Fold what comes later, entry by entry, as a standby does; free gives the newest time to the clock. */
struct recovery *recovery_new(struct node *n);
int recovery_entry(struct recovery *r, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e);
void recovery_free(struct recovery *r);
int recover_boot(struct node *n, struct err *e);

/* ---- standby.c ---- */

/* n->journal follows another engine's. */
int standby_open(struct node *n, struct err *e);
/* From the journal. */
int standby_entry(void *node, uint64_t seq, const uint8_t *bytes, size_t size, struct err *e);
void standby_primary(void *node);
void standby_close(struct node *n);

/* ---- node.c ---- */

/* Everything that only a node that decides has: executor, ledger, messenger; boots a new epoch. */
int node_open_live(struct node *n, struct err *e);
void node_watch_journal(struct node *n);

/* ---- machine.c: what this machine offers, probed and configured ---- */

int machine_announce(struct node *n, struct err *e);
/* It was found out that others reach this machine so; config.yaml's word wins. */
void machine_reached(struct node *n, const char *address);

/* ---- snapshot.c ---- */

void snapshots_init(struct node *n, uint64_t from_seq);
void snapshots_consider(struct node *n); /* start one if the tail is long */
void snapshots_note(struct node *n, size_t entry_bytes);
void snapshots_close(struct node *n);

/* ---- ledger.c ---- */

/* Open the keys and the log's published side; < 0: says why, the node can do without. */
int ledger_init(struct node *n, struct err *e);
/* As ledger_flush(), up to `size` entries, which may not be durable yet. */
void ledger_flush_to(struct node *n, uint64_t size, ledger_fn fn, void *ctx);
/* The key that signs the log's heads: of several the oldest that was not revoked. */
/* Is that a key that signs this log's heads, or did once? */
bool ledger_had_log_key(const struct node *n, const char *vkey);
void ledger_vkey(const struct node *n, char out[NOTE_VKEY_MAX]);
/* Be a witness, as the configuration says: n->witness. */
int ledger_open_witness(struct node *n, struct err *e);
/* It became one after the start: the log says so, too. */
void ledger_tell_witness(struct node *n);
/* Something became durable. */
void ledger_note(struct node *n);
/* Before the loop is closed, and after. */
void ledger_stop(struct node *n);
void ledger_close(struct node *n);

/* ---- messenger.c: the process that talks to strangers (messenger/messenger.h) ---- */

/* Start it if the configuration asks for it. config: the file's name, or NULL for that of the state folder; it is copied. */
void messenger_init(struct node *n, const char *config);
/* Before the loop is closed, and after. */
/* One that said it cannot run is started again when its configuration has changed since. */
void messenger_look(struct node *n);
void messenger_stop(struct node *n);
void messenger_close(struct node *n);

/* ---- witnesses.c: of this node's log ---- */

/* Read ledger.policy: n->witnesses. ERR_INVALID: the file, or it does not name this log. */
/* The log's keys of now count as the policy's. */
void witnesses_rekey(struct node *n);
int witnesses_open(struct node *n, const char *vkey, struct err *e);
void witnesses_close(struct node *n);

/* ---- history.c ---- */

void history_init(struct node *n);
void history_finished(struct node *n, job_id job);
void history_forget(struct node *n, job_id job); /* EFFECT_FORGET */
void history_stop(struct node *n);               /* before the loop is closed */
void history_close(struct node *n);

/* What is amiss and does not keep the node from working: shown by `osier up` and `osier doctor`. */
void node_notice(struct node *n, const char *what, const struct err *e);
void node_notice_over(struct node *n, const char *what); /* it is so no more */

#endif
