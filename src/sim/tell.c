/* SPDX-License-Identifier: Apache-2.0 */
/* tell - entries in the words of a trace; see world_state.h. */
#include <string.h>

#include "sim/world_state.h"

static void tell_parked(struct world *w, const Wire__LeaseParked *m)
{
	static const char *const what[] = {
	        "is parked: its tasks wait again", "has its tasks again", "is overtaken"};

	world_say(w, "engine > lease %lu %s", (unsigned long)m->lease, what[m->what]);
	for (size_t i = 0; i < m->n_stop; i++)
		world_say(w, "engine > ... and lease %lu is to stop", (unsigned long)m->stop[i]);
}

void world_tell_entry(struct world *w, const Wire__Entry *en)
{
	if (!w->trace)
		return;
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_PARKED) {
		tell_parked(w, en->lease_parked);
		return;
	}
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED) {
		const Wire__LeaseGranted *l = en->lease_granted;

		if (l->gang) {
			world_say(w, "engine > job %lu step %u: task %lu, rank %u to node %u, lease %lu",
			        (unsigned long)l->job, l->step, (unsigned long)l->first, l->replica, l->node,
			        (unsigned long)l->lease);
			return;
		}
		world_say(w, "engine > job %lu step %u: tasks %lu-%lu to node %u, lease %lu",
		        (unsigned long)l->job, l->step, (unsigned long)l->first,
		        (unsigned long)(l->first + l->count - 1), l->node, (unsigned long)l->lease);
	} else if (en->body_case == WIRE__ENTRY__BODY_RESULTS) {
		const Wire__Results *r = en->results;

		world_say(w, "engine > lease %lu: task %lu %s%s", (unsigned long)r->lease,
		        (unsigned long)r->first,
		        r->commitments.len ? "committed" : outcome_name(RESULT_COLUMN(r, outcome, 0)),
		        r->count > 1 ? " and more" : "");
	} else if (en->body_case == WIRE__ENTRY__BODY_LEASE_ENDED) {
		world_say(w, "engine > lease %lu ended: %s", (unsigned long)en->lease_ended->lease,
		        stop_reason_name(en->lease_ended->reason));
	} else if (en->body_case == WIRE__ENTRY__BODY_LEASE_STOPPING) {
		world_say(w, "engine > stop lease %lu: %s", (unsigned long)en->lease_stopping->lease,
		        stop_reason_name(en->lease_stopping->reason));
	} else if (en->body_case == WIRE__ENTRY__BODY_LATE_RESULT) {
		world_say(w, "engine > lease %lu: task %lu came late, refused%s",
		        (unsigned long)en->late_result->lease, (unsigned long)en->late_result->first,
		        en->late_result->count > 1 ? ", and more" : "");
	} else if (en->body_case == WIRE__ENTRY__BODY_NODE_LINK) {
		world_say(w, "engine > node %u: link %s", en->node_link->node,
		        en->node_link->state == WIRE__NODE_SET__STATE__UP ? "up" : "down");
	} else if (en->body_case == WIRE__ENTRY__BODY_REFUSED) {
		world_say(w, "engine > refused: %s", en->refused->reason);
	} else if (en->body_case == WIRE__ENTRY__BODY_NODE_LINK) {
		world_say(w, "engine > the link to node %u is %s", en->node_link->node,
		        en->node_link->state == WIRE__NODE_SET__STATE__UP ? "up" : "down");
	} else if (en->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED && en->job_submitted->delegated) {
		world_say(w, "engine > job %lu is the hub's lease %lu, tasks from %lu",
		        (unsigned long)en->job_submitted->job,
		        (unsigned long)en->job_submitted->delegated->lease,
		        (unsigned long)en->job_submitted->delegated->first);
	} else if (en->body_case == WIRE__ENTRY__BODY_JOB_FORGOTTEN && w->name) {
		world_say(w, "engine > job %lu is forgotten: %s", (unsigned long)en->job_forgotten->job,
		        en->job_forgotten->policy);
	} else if (en->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED) {
		world_say(w, "engine > job %lu submitted", (unsigned long)en->job_submitted->job);
	} else {
		world_say(w, "engine > %s", entry_kind_name(en));
	}
}
