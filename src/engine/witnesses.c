/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witnesses - whom this node's log is witnessed by: the policy that the configuration names, and what is wrong with whom.
 *
 * Not the asking (messenger/witnesses.c), nor what they signed (io/cosigned). Loop thread. A policy is constant, because threads of the pool
 * read it: when the log has a new key, another one takes its place, and it is kept.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/policy.h"
#include "engine/node_int.h"
#include "io/policy_file.h"

#define WHY_MAX 240

struct witnesses {
	struct policy *policy, *old[POLICY_ITEMS_MAX];
	unsigned n_old;
	struct {
		char why[WHY_MAX];
		uint64_t since_ns;
	} error[POLICY_ITEMS_MAX];
};

int witnesses_open(struct node *n, const char *vkey, struct err *e)
{
	struct policy *p = policy_file_read(n->state_dir, n->config.policy, e);
	char named[NOTE_VKEY_MAX] = "";
	bool own = false;

	if (!p)
		return err_wrap(e, "ledger.policy");
	/* Also by a key that it had: who rotated it need not write it here before the next start. */
	for (unsigned i = 0; i < p->logs && !own; i++) {
		note_key_print(&p->log[i].key, named);
		own = strcmp(named, vkey) == 0 || ledger_had_log_key(n, named);
	}
	if (!own) {
		free(p);
		(void)err_set(e, ERR_INVALID, "the policy '%.100s' does not name this log", n->config.policy);
		return err_hint(e, "'osier ledger policy' prints the line that it needs");
	}
	n->witnesses = calloc(1, sizeof(*n->witnesses));
	CHECK(n->witnesses);
	n->witnesses->policy = p;
	witnesses_rekey(n);
	return 0;
}

void witnesses_rekey(struct node *n)
{
	struct witnesses *w = n->witnesses;
	struct policy *own, *p = NULL;
	char a[NOTE_VKEY_MAX], b[NOTE_VKEY_MAX];

	if (!w || w->n_old == POLICY_ITEMS_MAX)
		return;
	own = calloc(1, sizeof(*own));
	CHECK(own);
	if (ledger_log_keys(n, own, NULL) < 0)
		own->logs = 0;
	for (unsigned i = 0; i < own->logs; i++) {
		bool known = false;

		note_key_print(&own->log[i].key, a);
		for (unsigned k = 0; k < (p ? p : w->policy)->logs && !known; k++) {
			note_key_print(&(p ? p : w->policy)->log[k].key, b);
			known = strcmp(a, b) == 0;
		}
		if (known || (p ? p : w->policy)->logs == POLICY_ITEMS_MAX)
			continue;
		if (!p) {
			p = malloc(sizeof(*p));
			CHECK(p);
			*p = *w->policy;
		}
		p->log[p->logs++] = own->log[i];
	}
	free(own);
	if (!p)
		return;
	w->old[w->n_old++] = w->policy;
	w->policy = p;
}

void witnesses_close(struct node *n)
{
	for (unsigned i = 0; n->witnesses && i < n->witnesses->n_old; i++)
		free(n->witnesses->old[i]);
	if (n->witnesses)
		free(n->witnesses->policy);
	free(n->witnesses);
	n->witnesses = NULL;
}

const struct policy *node_witnesses(const struct node *n)
{
	return n->witnesses ? n->witnesses->policy : NULL;
}

void node_witness_failed(struct node *n, unsigned member, const char *why)
{
	struct witnesses *w = n->witnesses;

	CHECK(w && member < w->policy->members);
	if (!why || !*why)
		w->error[member].since_ns = 0;
	else if (!w->error[member].since_ns)
		w->error[member].since_ns = node_now_ns(n);
	(void)snprintf(w->error[member].why, WHY_MAX, "%s", why ? why : "");
}

const char *node_witness_error(const struct node *n, unsigned member, uint64_t *out_since_ns)
{
	CHECK(n->witnesses && member < n->witnesses->policy->members);
	*out_since_ns = n->witnesses->error[member].since_ns;
	return n->witnesses->error[member].why;
}
