/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror - follows a log into a folder (logdir.h), and believes nothing: each checkpoint by a policy, each tile by its place under the
 * checkpoint's root, each entry by its leaf, and each new checkpoint must extend the one in hand.
 *
 * A pass: read the checkpoint; check it; make sure that the tree in hand is the beginning of it; fetch what is new from the top of the
 * tree down, so that every file is checked before it is written; write the checkpoint last. A kill at any point loses only time.
 * A log that shows two histories is refused, and both signed heads are kept with the proof that they do not fit: `fork-SIZE-ROOT/` in the folder
 * has `ours` and `theirs` (the notes), and `proof`, a request to a witness (C2SP tlog-witness, add-checkpoint) that no witness
 * can accept. One thread at a time; blocking.
 */
#ifndef OSIER_IO_MIRROR_H
#define OSIER_IO_MIRROR_H

#include "core/policy.h"
#include "io/logdir.h"
#include "io/logsource.h"

struct mirror;

enum mirror_what {
	MIRROR_ALL,    /* entries, too, where the log gives them */
	MIRROR_HASHES, /* no entries: proofs need none */
};

struct mirror_options {
	const char *dir;
	const struct policy *policy; /* whom to trust; must outlive it */
	enum mirror_what what;
	/* Called now and then: `done` files of `total`. < 0: stop (ERR_TIMEOUT). May be NULL. */
	int (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
};

/* ERR_CORRUPT: the checkpoint in the folder is not of a log that the policy trusts. */
int mirror_open(const struct mirror_options *o, struct mirror **out, struct err *e);
void mirror_close(struct mirror *m);
uint64_t mirror_size(const struct mirror *m); /* entries under the checkpoint in hand */

enum mirror_verdict {
	MIRROR_GREW, /* or nothing is new */
	MIRROR_OLDER, /* the log shows a head before the one in hand, and its own beginning: an old copy of it */
	MIRROR_FORKED, /* the log signed two histories; see `evidence` */
};
struct mirror_result {
	enum mirror_verdict verdict;
	uint64_t old, size;      /* entries: in hand before, and shown by the log */
	uint64_t tiles, bundles; /* files that were written */
	uint64_t expired;        /* entries that the log no longer has, of those that were asked for */
	bool denied;             /* it does not give entries to everybody */
	char origin[NOTE_NAME_MAX + 1];
	char evidence[64]; /* a folder below the mirror's */
};

/* One pass. < 0: the source failed or lied; the folder is whole, the message says where. */
int mirror_pass(struct mirror *m, const struct logsource *s, struct mirror_result *out, struct err *e);

#endif
