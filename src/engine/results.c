/* SPDX-License-Identifier: Apache-2.0 */
/* results - see results.h. */
#include "engine/results.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wire/entry.h"

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

/* A column that nothing was put into is not there. */
#define AT(column, i) ((column) ? (column) + (i) : NULL)
#define TAKE(name, values)                                                                                   \
	do {                                                                                                 \
		out->name = AT(r->name, from);                                                               \
		out->n_##name = values(out->name, n);                                                        \
	} while (0)

/* The columns of tasks [from, from + n) and of outputs [output, output + n_outputs). */
static void message(struct results *r, uint64_t from, size_t n, size_t output, size_t n_outputs,
        size_t hashed, size_t n_hashed, Wire__Results *out)
{
	size_t truncated = 0;

	wire__results__init(out);
	TAKE(outcome, column_outcome);
	TAKE(code, column_i32);
	TAKE(start_us, column_u64);
	TAKE(wall_us, column_u64);
	TAKE(user_us, column_u64);
	TAKE(system_us, column_u64);
	TAKE(memory_bytes, column_u64);
	TAKE(read_bytes, column_u64);
	TAKE(write_bytes, column_u64);
	TAKE(outputs, column_u32);
	out->n_output_bytes = n_outputs;
	out->output_bytes = AT(r->output_bytes, output);
	out->output_sha256.data = AT(r->sha, 32 * hashed);
	out->output_sha256.len = 32 * n_hashed;
	for (size_t i = 0; i < n_outputs; i++)
		truncated += r->truncated[output + i] != 0;
	out->n_output_truncated = truncated ? n_outputs : 0;
	out->output_truncated = AT(r->truncated, output);
}

void results_message(struct results *r, Wire__Results *out)
{
	message(r, 0, r->plain ? 0 : r->n, 0, r->n_outputs, 0, r->n_hashed, out);
	out->count = r->n;
	out->note = r->note;
}

bool results_slice_next(struct results *r, struct results_slice *s)
{
	uint64_t from = s->at, n = 1;
	size_t output = s->output, hashed = s->hashed, byte = s->byte;
	bool good;

	if (from >= r->n)
		return false;
	if (r->plain) {
		s->at = r->n;
		results_message(r, &s->message);
		return true;
	}
	good = r->outcome[from] == WIRE__OUTCOME__SUCCEEDED;
	while (from + n < r->n && (r->outcome[from + n] == WIRE__OUTCOME__SUCCEEDED) == good)
		n++;
	for (uint64_t i = from; i < from + n; i++)
		for (uint32_t k = 0; k < r->outputs[i]; k++) {
			uint64_t bytes = r->output_bytes[s->output++];

			s->hashed += bytes != 0;
			s->byte += bytes <= OUTPUT_SMALL_MAX ? bytes : 0;
		}
	message(r, from, n, output, s->output - output, hashed, s->hashed - hashed, &s->message);
	s->message.count = n;
	s->message.note = good || s->noted ? (char *)(uintptr_t) "" : r->note;
	s->noted |= !good;
	s->small = AT(r->small, byte);
	s->small_bytes = s->byte - byte;
	s->at = from + n;
	return true;
}

int held_decode(struct arena *a, const uint8_t *bytes, size_t n, const Wire__Results **out,
        const uint8_t **out_small, size_t *out_small_bytes, struct err *e)
{
	size_t packed = 0;

	for (size_t i = 0; i < 4 && n >= 4; i++)
		packed |= (size_t)bytes[i] << (8 * i);
	if (n < 4 || packed > n - 4)
		return err_set(e, ERR_CORRUPT, "what was committed to is cut short");
	if (results_decode(a, bytes + 4, packed, out, e) < 0)
		return -1;
	if (!(*out)->nonces.len)
		return err_set(e, ERR_CORRUPT, "what was committed to has no nonces");
	*out_small = bytes + 4 + packed;
	*out_small_bytes = n - 4 - packed;
	return 0;
}
