/* SPDX-License-Identifier: Apache-2.0 */
/* link_offer - what a node says to its hub that it can do, in the words of the hub's version; see link.h. Pure. */
#include "core/link_int.h"

static bool takes_whole(const struct link_end *l)
{
	return l->version >= LINK_MAJOR * 1000u + LINK_GANGS_MINOR;
}

void child_offer_begin(struct link_end *l)
{
	if (!takes_whole(l)) /* it has not taken what the Hello said */
		l->node_due = 1;
}

/* As a hub of version 1.1 takes it, which refuses what has a field that it does not know. */
static bool older_offer(ProtobufCBinaryData *out, struct arena *a)
{
	const ProtobufCBinaryData bytes = *out;
	const Wire__NodeSet *whole;
	Wire__NodeSet m;
	struct err e;

	if (frame_node(a, &bytes, &whole, &e) < 0)
		return false;
	m = *whole;
	m.address = (char *)(uintptr_t) "";
	m.port_first = m.port_count = 0;
	m.n_classes = m.n_folded = m.n_own_largest = 0;
	out->len = wire__node_set__get_packed_size(&m);
	out->data = arena_alloc(a, out->len + 1);
	return out->data && wire__node_set__pack(&m, out->data) == out->len;
}

size_t child_offer_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Node m = LINK__NODE__INIT;
	struct arena a;

	arena_init(&a, l->scratch, l->scratch_bytes);
	l->node_due = 0;
	m.node = (ProtobufCBinaryData){l->offer_bytes, l->offer};
	if (!takes_whole(l) && !older_offer(&m.node, &a))
		return 0;
	f.body_case = LINK__FRAME__BODY_NODE;
	f.node = &m;
	return link_emit(l, now, &f, true, 0, out);
}
