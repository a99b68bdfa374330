/* SPDX-License-Identifier: Apache-2.0 */
/* results - see results.h. */
#include "engine/results.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct results *results_new(void)
{
	struct results *r = calloc(1, sizeof(*r));

	CHECK(r);
	r->plain = true;
	return r;
}

void results_free(struct results *r)
{
	if (!r)
		return;
	free(r->outcome);
	free(r->code);
	free(r->start_us);
	free(r->outputs);
	free(r->output_bytes);
	free(r->truncated);
	free(r->sha);
	free(r->small);
	free(r);
}

void results_clear(struct results *r)
{
	r->n = 0;
	r->plain = true;
	r->n_outputs = 0;
	r->n_hashed = 0;
	r->small_bytes = 0;
	r->note[0] = '\0';
	/* One large output must not be kept in memory for ever. */
	if (r->small_max > (256u << 10)) {
		free(r->small);
		r->small = NULL;
		r->small_max = 0;
	}
}

static void *resize(void *p, size_t n, size_t item)
{
	void *q = reallocarray(p, n, item);

	CHECK(q);
	return q;
}

/* The seven columns of uint64_t are one block: each has room for max. */
static void grow(struct results *r, uint64_t need)
{
	uint32_t max = r->max ? r->max : 16;
	uint64_t *block;

	CHECK(need <= UINT32_MAX / 2);
	if (need <= r->max)
		return;
	while (max < need)
		max *= 2;
	block = resize(NULL, max, 7 * sizeof(uint64_t));
	for (size_t c = 0; c < 7 && !r->plain; c++)
		memcpy(block + c * max, r->start_us + c * r->max, r->n * sizeof(uint64_t));
	free(r->start_us);
	r->start_us = block;
	r->wall_us = block + (size_t)max;
	r->user_us = block + 2 * (size_t)max;
	r->system_us = block + 3 * (size_t)max;
	r->memory_bytes = block + 4 * (size_t)max;
	r->read_bytes = block + 5 * (size_t)max;
	r->write_bytes = block + 6 * (size_t)max;
	r->outcome = resize(r->outcome, max, sizeof(*r->outcome));
	r->code = resize(r->code, max, sizeof(*r->code));
	r->outputs = resize(r->outputs, max, sizeof(*r->outputs));
	r->max = max;
}

static void fill(struct results *r, uint64_t from, uint64_t count)
{
	memset(r->outcome + from, 0, count * sizeof(*r->outcome));
	memset(r->code + from, 0, count * sizeof(*r->code));
	memset(r->outputs + from, 0, count * sizeof(*r->outputs));
	for (size_t c = 0; c < 7; c++)
		memset(r->start_us + c * r->max + from, 0, count * sizeof(uint64_t));
}

void results_add_plain(struct results *r, uint64_t count)
{
	if (!r->plain) {
		grow(r, r->n + count);
		fill(r, r->n, count);
	}
	r->n += count;
}

void results_row(struct results *r, const struct result_row *row)
{
	uint64_t i = r->n;

	grow(r, i + 1);
	if (r->plain) {
		fill(r, 0, i);
		r->plain = false;
	}
	r->outcome[i] = row->outcome;
	r->code[i] = row->code;
	r->start_us[i] = row->start_us;
	r->wall_us[i] = row->wall_us;
	r->user_us[i] = row->user_us;
	r->system_us[i] = row->system_us;
	r->memory_bytes[i] = row->memory_bytes;
	r->read_bytes[i] = row->read_bytes;
	r->write_bytes[i] = row->write_bytes;
	r->outputs[i] = 0;
	r->n = i + 1;
}

static void keep_small(struct results *r, const uint8_t *data, size_t n)
{
	if (r->small_max - r->small_bytes < n) {
		size_t max = r->small_max ? r->small_max : 4096;

		while (max - r->small_bytes < n)
			max *= 2;
		r->small = resize(r->small, max, 1);
		r->small_max = max;
	}
	memcpy(r->small + r->small_bytes, data, n);
	r->small_bytes += n;
}

void results_output(
        struct results *r, uint64_t bytes, bool truncated, const uint8_t sha[32], const uint8_t *data)
{
	uint32_t at = r->n_outputs;

	if (at == r->max_outputs) {
		r->max_outputs = at ? at * 2 : 16;
		r->output_bytes = resize(r->output_bytes, r->max_outputs, sizeof(*r->output_bytes));
		r->truncated = resize(r->truncated, r->max_outputs, sizeof(*r->truncated));
		r->sha = resize(r->sha, r->max_outputs, 32);
	}
	r->output_bytes[at] = bytes;
	r->truncated[at] = truncated;
	r->outputs[r->n - 1]++;
	r->n_outputs++;
	if (bytes == 0)
		return;
	memcpy(r->sha + 32 * (size_t)r->n_hashed++, sha, 32);
	if (bytes <= OUTPUT_SMALL_MAX) {
		CHECK(data);
		keep_small(r, data, bytes);
	}
}

void results_row_end(struct results *r)
{
	uint32_t *n = &r->outputs[r->n - 1];

	while (*n && r->output_bytes[r->n_outputs - 1] == 0 && !r->truncated[r->n_outputs - 1]) {
		(*n)--;
		r->n_outputs--;
	}
}

void results_note(struct results *r, const char *note)
{
	if (r->note[0] == '\0')
		(void)snprintf(r->note, sizeof(r->note), "%s", note);
}

bool results_room(const struct results *r)
{
	return (r->plain || r->n < RESULTS_TASKS_MAX) && r->small_bytes < RESULTS_SMALL_MAX &&
	       r->n_outputs < 65536;
}

/* How many values of the column must be written: none when all are zero, one when all are equal. */
#define COLUMN(name, type)                                                                                   \
	static size_t name(const type *v, size_t n)                                                          \
	{                                                                                                    \
		for (size_t i = 1; i < n; i++)                                                               \
			if (v[i] != v[0])                                                                    \
				return n;                                                                    \
		return n && v[0] ? 1 : 0;                                                                    \
	}
COLUMN(column_u64, uint64_t)
COLUMN(column_u32, uint32_t)
COLUMN(column_i32, int32_t)
COLUMN(column_outcome, Wire__Outcome)

void results_message(struct results *r, Wire__Results *out)
{
	size_t n = r->plain ? 0 : r->n;
	size_t truncated = 0;

	wire__results__init(out);
	out->count = r->n;
	out->n_outcome = column_outcome(r->outcome, n);
	out->outcome = r->outcome;
	out->n_code = column_i32(r->code, n);
	out->code = r->code;
	out->n_start_us = column_u64(r->start_us, n);
	out->start_us = r->start_us;
	out->n_wall_us = column_u64(r->wall_us, n);
	out->wall_us = r->wall_us;
	out->n_user_us = column_u64(r->user_us, n);
	out->user_us = r->user_us;
	out->n_system_us = column_u64(r->system_us, n);
	out->system_us = r->system_us;
	out->n_memory_bytes = column_u64(r->memory_bytes, n);
	out->memory_bytes = r->memory_bytes;
	out->n_read_bytes = column_u64(r->read_bytes, n);
	out->read_bytes = r->read_bytes;
	out->n_write_bytes = column_u64(r->write_bytes, n);
	out->write_bytes = r->write_bytes;
	out->n_outputs = column_u32(r->outputs, n);
	out->outputs = r->outputs;
	out->n_output_bytes = r->n_outputs;
	out->output_bytes = r->output_bytes;
	out->output_sha256.data = r->sha;
	out->output_sha256.len = 32 * (size_t)r->n_hashed;
	for (size_t i = 0; i < r->n_outputs; i++)
		truncated += r->truncated[i] != 0;
	out->n_output_truncated = truncated ? r->n_outputs : 0;
	out->output_truncated = r->truncated;
	out->note = r->note;
}
