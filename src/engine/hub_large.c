/* SPDX-License-Identifier: Apache-2.0 */
/* hub_large - which requests may have a long body just now; see hub_int.h. */
#include <string.h>

#include "engine/hub_int.h"
#include "engine/hub_listener.h"

bool hub_large_take(struct hub_large *h, struct hub_request *q, time_t now)
{
	struct hub_request **at = NULL;

	for (unsigned i = 0; i < HUB_LARGE_ONCE; i++) {
		struct hub_request **p = &h->place[i];

		if (*p && strcmp((*p)->peer.name, q->peer.name) == 0) {
			at = p;
			break;
		}
		if (!at || (*at && (!*p || (*p)->since < (*at)->since)))
			at = p;
	}
	if (*at && strcmp((*at)->peer.name, q->peer.name) != 0 && now - (*at)->since < HUB_LARGE_S)
		return false;
	if (*at)
		(*at)->stale = true;
	*at = q;
	q->large = true;
	q->since = now;
	return true;
}

void hub_large_leave(struct hub_large *h, const struct hub_request *q)
{
	for (unsigned i = 0; i < HUB_LARGE_ONCE; i++)
		if (h->place[i] == q)
			h->place[i] = NULL;
}
