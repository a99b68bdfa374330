/* SPDX-License-Identifier: Apache-2.0 */
/* fabric_int - what fabric.c (when, and for whom), fabric_work.c (heads, in the pool), fabric_mirror.c (copies of logs) and fabric_keep.c (files)
 * share; for nobody else. */
#ifndef OSIER_ENGINE_FABRIC_INT_H
#define OSIER_ENGINE_FABRIC_INT_H

#include <jansson.h>

#include "engine/fabric.h"
#include "engine/witness.h"
#include "io/cert.h"
#include "io/logstore.h"
#include "io/mirrored.h"

#define FABRIC_WORDS 360u
#define FABRIC_FILE  96u

struct fabric_peer {
	struct fabric_peer *next;
	bool parent;
	char name[CERT_NAME_MAX + 1];
	uint8_t id[32]; /* the hub's authority, the child's journal: another one is another log */
	struct fabric_keys keys;
	char origin[NOTE_NAME_MAX + 1];
	char witness[NOTE_VKEY_MAX];
	uint64_t theirs, theirs_s, ours, ours_s;
	uint64_t handed; /* of a hub: entries of its log under our cosignature that it has */
	char alarm[FABRIC_WORDS], evidence[FABRIC_FILE], error[FABRIC_WORDS];
	uint64_t alarm_s;
	bool forked;    /* the alarm is for good */
	unsigned older; /* so often in a row */
	/* Of a child, as of its last request: what is here of its log. */
	bool bringing;
	uint64_t mirrored, mirror_bytes;
	char mirror[MIRRORED_NAME];
};

/* A node's log on its way to its hub. */
struct fabric_mirror {
	uv_timer_t timer;
	bool wanted;    /* the hub said that it keeps one */
	uint64_t have;  /* entries that it has */
	char *note;     /* our head that it cosigned; NULL: not at hand */
	uint64_t of;    /* its size */
	unsigned fails; /* in a row */
	size_t max;     /* bytes of the next piece */
	uint64_t began_ns, pause_ns;
};

struct fabric_job;
struct fabric_brought;
struct fabric {
	struct node *node;
	uv_timer_t timer, tell, sweep;
	bool stopped, busy, lacks; /* busy: with our hub; lacks: it cannot be a witness, and said so */
	struct fabric_peer *parent, *children;
	struct fabric_job *jobs;
	struct fabric_brought *brought;
	/* towards the hub */
	uint64_t last_ns, their_done, our_done; /* sizes of both logs that need no asking any more */
	uint64_t asked_theirs, asked_ours;
	unsigned fails, tries, step;
	bool grew;  /* the hub's head, when it was asked for last */
	char *note; /* of ours, as shown */
	struct fabric_mirror mirror;
	/* towards the children */
	uint64_t told_ns, told;
};

/* ---- fabric.c ---- */

struct fabric_peer *fabric_peer_of(
        struct fabric *f, struct fabric_peer **list, bool parent, const char *name, const uint8_t id[32]);
struct witness *fabric_witness(struct fabric *f, struct err *e);
bool fabric_peer_busy(const struct fabric *f, const struct fabric_peer *p);
void fabric_refuse(struct hub_asked *a, const struct err *e);
/* What is needed to show the hub who we are. */
json_t *fabric_self(const struct node *n);

/* ---- fabric_mirror.c ---- */

void fabric_mirror_init(struct fabric *f);
/* The hub's answer to our heads; a head of ours (or NULL) that it cosigned. */
void fabric_mirror_told(struct fabric *f, const json_t *answer, const char *note);
/* Another hub: it has nothing. */
void fabric_mirror_forget(struct fabric *f);
/* Perhaps there is something to send. */
void fabric_mirror_look(struct fabric *f);
void fabric_mirror_stop(struct fabric *f);
void fabric_mirror_close(struct fabric *f);

#define FABRIC_MIRROR_PATH 4200u
/* The folder of the mirror of this child's log; "" when none is kept. */
void fabric_mirror_path(
        const struct node *n, const char *name, const char *origin, char out[FABRIC_MIRROR_PATH]);

/* ---- fabric_keep.c ---- */

/* STATE/fabric is there. */
int fabric_folder(const char *state_dir, struct err *e);
/* What is known of p (name, parent, id are filled in); what is of another id is forgotten. */
void fabric_load(const char *state_dir, struct fabric_peer *p);
int fabric_save(const char *state_dir, const struct fabric_peer *p, struct err *e);
/* Keep what was seen, in a folder whose name goes to `out` (below STATE); "" when it cannot be kept. */
void fabric_evidence(const char *state_dir, const char *kind, const char *name, const char *ours,
        size_t ours_n, const char *theirs, size_t theirs_n, const char *proof, size_t proof_n,
        char out[FABRIC_FILE]);

/* ---- fabric_work.c: any thread ---- */

/* A head of the other side, which we may cosign. */
struct fabric_take {
	const char *dir, *name;
	struct witness *w;
	struct fabric_keys had, said;
	bool keep; /* evidence, when there is cause; else what was kept before is enough */
	const char *request;
	size_t n;
	const char *mirror; /* where a mirror of its log is, perhaps; "" nowhere */
	/* out */
	bool agreed;
	enum fabric_word word;
	struct witness_reply reply;
	uint64_t had_size, size;
	char evidence[FABRIC_FILE];
	struct err why;
};
void fabric_take(struct fabric_take *t);

/* A cosignature of the other side under a head of ours. */
struct fabric_hand {
	const char *dir;
	const struct policy *own; /* ledger.policy, or NULL */
	const char *vkey, *note, *line;
	/* out */
	uint64_t size, time_s;
};
int fabric_hand(struct fabric_hand *h, struct err *e);

/* Our newest head for who cosigned `old` entries of it, as a request to a witness: malloc'd; *out_note (malloc'd, may be NULL) is its note.
 * NULL: nothing was published yet. */
char *fabric_show(const char *dir, uint64_t old, uint64_t *out_size, char **out_note);

/* Texts of an object; "" when there is none. */
const char *fabric_text(const json_t *o, const char *key);
int fabric_said(const json_t *o, struct fabric_keys *out, struct err *e);

#endif
