/* SPDX-License-Identifier: Apache-2.0 */
/* held - see held.h. */
#include "engine/held.h"

#include <stdlib.h>

#include "base/check.h"

void held_push(struct held *h, const struct held_item *it)
{
	CHECK(h->n == 0 || h->v[(h->first + h->n - 1) & (h->max - 1)].seq <= it->seq);
	if (h->n == h->max) {
		size_t max = h->max ? h->max * 2 : 64;
		struct held_item *v = reallocarray(NULL, max, sizeof(*v));

		CHECK(v);
		for (size_t i = 0; i < h->n; i++)
			v[i] = h->v[(h->first + i) & (h->max - 1)];
		free(h->v);
		h->v = v;
		h->max = max;
		h->first = 0;
	}
	h->v[(h->first + h->n) & (h->max - 1)] = *it;
	h->n++;
}

bool held_pop(struct held *h, uint64_t durable, struct held_item *out)
{
	if (h->n == 0 || h->v[h->first].seq > durable)
		return false;
	*out = h->v[h->first];
	h->first = (h->first + 1) & (h->max - 1);
	h->n--;
	if (h->n == 0 && h->max > 65536) {
		free(h->v);
		*h = (struct held){0};
	}
	return true;
}

struct held_item *held_at(struct held *h, size_t i)
{
	return i < h->n ? &h->v[(h->first + i) & (h->max - 1)] : NULL;
}

void held_release(struct held *h)
{
	struct held_item it;

	while (held_pop(h, UINT64_MAX, &it))
		if (it.kind == HELD_ANSWER)
			free(it.u.answer.words);
	free(h->v);
	*h = (struct held){0};
}
