/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witnesses - whom this node's log is witnessed by: the policy that the configuration names, and what is wrong with whom.
 *
 * Not the asking (messenger/witnesses.c), nor what they signed (io/cosigned). Loop thread; the policy is constant.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/policy.h"
#include "engine/node_int.h"
#include "io/policy_file.h"

#define WHY_MAX 240

struct witnesses {
	struct policy *policy;
	struct {
		char why[WHY_MAX];
		uint64_t since_ns;
	} error[POLICY_ITEMS_MAX];
};

int witnesses_open(struct node *n, const char *vkey, struct err *e)
{
	struct policy *p = policy_file_read(n->state_dir, n->config.policy, e);
	char own[NOTE_VKEY_MAX] = "";

	if (!p)
		return err_wrap(e, "ledger.policy");
	for (unsigned i = 0; i < p->logs && strcmp(own, vkey) != 0; i++)
		note_key_print(&p->log[i].key, own);
	if (strcmp(own, vkey) != 0) {
		free(p);
		(void)err_set(e, ERR_INVALID, "the policy '%.100s' does not name this log", n->config.policy);
		return err_hint(e, "'osier ledger policy' prints the line that it needs");
	}
	n->witnesses = calloc(1, sizeof(*n->witnesses));
	CHECK(n->witnesses);
	n->witnesses->policy = p;
	return 0;
}

void witnesses_close(struct node *n)
{
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
