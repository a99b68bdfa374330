/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_held - what a child holds of blobs, and how far it found others to be, told to its hub; see link.h. Pure.
 *
 * The child says all of it each time: at the beginning of a session, and when its shell says that it changed. At the hub it becomes
 * NodeFacts, at most one every HELD_NS, of which the last word counts; where the child gives blobs to others stays in memory.
 */
#include <string.h>

#include "base/check.h"
#include "core/link_int.h"

#define HELD_NS 2000000000ull

void link_held(struct link_end *l, const uint8_t *blobs, size_t n, const char *at)
{
	CHECK(l->side == LINK_TO_HUB && n <= sizeof(l->held) && n % 8 == 0 && strlen(at) < sizeof(l->at));
	if (l->held_bytes == n && memcmp(l->held, blobs, n) == 0 && strcmp(l->at, at) == 0)
		return;
	memcpy(l->held, blobs, n);
	l->held_bytes = n;
	memset(l->at, 0, sizeof(l->at));
	memcpy(l->at, at, strlen(at));
	l->held_due = 1;
}

void link_far(struct link_end *l, const struct link_far *far, uint32_t n)
{
	bool same = n == l->n_far;

	CHECK(l->side == LINK_TO_HUB && n <= FRAME_FAR_MAX);
	for (uint32_t i = 0; i < n && same; i++)
		same = l->far[i].us == far[i].us && strcmp(l->far[i].name, far[i].name) == 0;
	if (same)
		return;
	memcpy(l->far, far, n * sizeof(*far));
	l->n_far = n;
	l->held_due = 1;
}

void child_held(struct link_end *l)
{
	l->held_due = l->held_bytes || l->at[0] || l->n_far;
}

size_t child_held_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Held m = LINK__HELD__INIT;
	Link__Far far[FRAME_FAR_MAX], *list[FRAME_FAR_MAX];

	for (uint32_t i = 0; i < l->n_far; i++) {
		far[i] = (Link__Far)LINK__FAR__INIT;
		far[i].name = l->far[i].name;
		far[i].us = l->far[i].us;
		list[i] = &far[i];
	}
	m.far = list;
	m.n_far = l->n_far;
	l->held_due = 0;
	m.blobs = (ProtobufCBinaryData){l->held_bytes, l->held};
	m.at = l->at;
	f.body_case = LINK__FRAME__BODY_HELD;
	f.held = &m;
	return link_emit(l, now, &f, true, 0, out);
}

/* ---- at the hub ---- */

void hub_held(struct link_end *l, const Link__Held *m)
{
	CHECK(m->blobs.len <= sizeof(l->held) && strlen(m->at) < sizeof(l->at)); /* frame_decode() */
	if (m->blobs.len)
		memcpy(l->held, m->blobs.data, m->blobs.len);
	l->held_bytes = m->blobs.len;
	memset(l->at, 0, sizeof(l->at));
	memcpy(l->at, m->at, strlen(m->at));
	l->n_far = 0;
	for (size_t i = 0; i < m->n_far; i++) {
		struct link_far *f = &l->far[l->n_far++];

		*f = (struct link_far){.us = m->far[i]->us};
		memcpy(f->name, m->far[i]->name, strlen(m->far[i]->name));
	}
	l->held_due = 1;
}

void hub_held_take(struct link_end *l, uint64_t now)
{
	Wire__NodeFacts f = WIRE__NODE_FACTS__INIT;
	struct command cmd = {.kind = CMD_FACTS, .u.facts = &f};

	if (!l->held_due || now < l->held_ns)
		return;
	l->held_due = 0;
	l->held_ns = now + HELD_NS;
	f.node = l->node;
	f.set = WIRE__NODE_FACTS__WHAT__HELD;
	f.held = (ProtobufCBinaryData){l->held_bytes, l->held};
	(void)link_command(l, &cmd, NULL);
	link_tell_latency(l);
}

bool link_holds(const struct link_end *l, const uint8_t *digest)
{
	for (size_t i = 0; i < l->held_bytes; i += 8)
		if (memcmp(l->held + i, digest, 8) == 0)
			return true;
	return false;
}
