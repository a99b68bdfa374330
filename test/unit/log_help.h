/* SPDX-License-Identifier: Apache-2.0 */
/* log_help - the log of a journal, for the tests of logs: its key, who trusts it, its oldest entries dropped. ORIGIN, its name, is defined before
 * this is included, once per program. */
#ifndef OSIER_TEST_LOG_HELP_H
#define OSIER_TEST_LOG_HELP_H

#include "io/ed25519.h"
#include "io/logstore.h"
#include "journal_help.h"

static struct key log_key(void)
{
	struct key k = {.seed = {7}};
	uint8_t pub[32];

	ed25519_public(k.seed, pub);
	note_key_make(ORIGIN, NOTE_ED25519, pub, &k.pub);
	return k;
}

/* Who trusts the log, and asks for no witness. */
static void log_policy(struct policy *keys)
{
	char text[NOTE_VKEY_MAX + 64], vkey[NOTE_VKEY_MAX];
	struct key k = log_key();
	struct err e;

	note_key_print(&k.pub, vkey);
	assert_int_equal(
	        policy_parse(
	                text, (size_t)snprintf(text, sizeof(text), "log %s\nquorum none\n", vkey), keys, &e),
	        0);
}

/* The world is opened anew, and entries up to 511 are dropped from it: the journal does that by and by, when it has been opened.
 * Nothing tells when: SQLite shows a commit in shared memory, after its last write. So it is looked for. */
static void drop_first_512(struct world *w)
{
	struct journal_reader *r;
	const uint8_t *bytes;
	uint8_t leaf[32];
	struct err e;
	size_t n;

	world_snapshot(w, 10);
	assert_int_equal(journal_drop_history(w->j, 600, &e), 0);
	journal_flush(w->j);
	world_close(w);
	world_open(w, NULL);
	assert_int_equal(journal_reader_open(w->dir, &r, &e), 0);
	for (int i = 0; i < 200 && journal_read_entry(r, 511, &bytes, &n, leaf, &e) == 0; i++)
		(void)usleep(20000);
	assert_int_equal(journal_read_entry(r, 511, &bytes, &n, leaf, &e), -1);
	journal_reader_close(r);
}

#endif
