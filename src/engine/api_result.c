/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_result - see the header. The columns of outputs are laid one after the other, so a row's place is a sum over those
 * before it.
 */
#include "engine/api_result.h"

#include "engine/results.h"
#include "wire/entry.h"

bool result_note_is_for(const Wire__Results *r, uint64_t i)
{
	if (!r->note[0] || RESULT_COLUMN(r, outcome, i) == WIRE__OUTCOME__SUCCEEDED)
		return false;
	for (uint64_t k = 0; k < i; k++)
		if (RESULT_COLUMN(r, outcome, k) != WIRE__OUTCOME__SUCCEEDED)
			return false;
	return true;
}

uint32_t result_outputs(const Wire__Results *r, uint64_t i)
{
	return RESULT_COLUMN(r, outputs, i);
}

/* One output further. */
static void pass(const Wire__Results *r, struct result_walk *w)
{
	uint64_t bytes = RESULT_COLUMN(r, output_bytes, w->from);

	w->hashed += bytes > 0;
	if (bytes <= OUTPUT_SMALL_MAX)
		w->at += bytes;
	w->from++;
}

void result_walk_to(const Wire__Results *r, struct result_walk *w, uint64_t row)
{
	if (!r->n_outputs || (r->n_outputs == 1 && !r->outputs[0])) { /* nobody wrote anything */
		w->row = row;
		return;
	}
	for (; w->row < row; w->row++)
		for (uint32_t k = result_outputs(r, w->row); k > 0; k--)
			pass(r, w);
}

void result_walk_output(
        const Wire__Results *r, const struct result_walk *w, uint32_t k, struct result_output *out)
{
	struct result_walk here = *w;

	*out = (struct result_output){.small = true};
	if (k >= result_outputs(r, w->row))
		return;
	while (here.from < w->from + k)
		pass(r, &here);
	out->bytes = RESULT_COLUMN(r, output_bytes, here.from);
	out->truncated = RESULT_COLUMN(r, output_truncated, here.from);
	out->small = out->bytes <= OUTPUT_SMALL_MAX;
	out->at = here.at;
	if (out->bytes && (here.hashed + 1) * 32 <= r->output_sha256.len)
		out->sha256 = r->output_sha256.data + here.hashed * 32;
}

void result_output_at(const Wire__Results *r, uint64_t i, uint32_t k, struct result_output *out)
{
	struct result_walk w = {0};

	result_walk_to(r, &w, i);
	result_walk_output(r, &w, k, out);
}
