/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_help - what the tests of links share: a world, and the shell of one end of a link, in which all is durable at once; the other end is played
 * by hand, with frames in `in` and `out`. Included once per program.
 */
#ifndef OSIER_TEST_LINK_HELP_H
#define OSIER_TEST_LINK_HELP_H

#include "../world.h"

#include "core/link.h"

#define MAYBE __attribute__((unused))

static struct world w;
static uint64_t entries; /* that the world has, as its shell counts them */
static _Alignas(16) uint8_t scratch[FRAME_ARENA_BYTES];
static uint8_t out[FRAME_BYTES_MAX], in[FRAME_BYTES_MAX];

static bool shell_command(void *ctx, const struct command *cmd, struct err *why)
{
	(void)ctx;
	entries += world_do(&w, cmd);
	if (w.n_last && w.last[0]->body_case == WIRE__ENTRY__BODY_REFUSED) {
		(void)err_set(why, ERR_INVALID, "%s", w.last[0]->refused->reason);
		return false;
	}
	return true;
}

static uint64_t shell_size(void *ctx)
{
	(void)ctx;
	return entries;
}

static MAYBE uint64_t shell_clock(void *ctx)
{
	(void)ctx;
	return w.now;
}

/* Good until the next one. */
static MAYBE const Wire__JobSpec *shell_spec(void *ctx, job_id job)
{
	static _Alignas(16) uint8_t room[FRAME_ARENA_BYTES];
	const Wire__JobSpec *spec;
	struct job_view v;
	struct arena a;

	(void)ctx;
	arena_init(&a, room, sizeof(room));
	assert_true(engine_job(w.e, job, &v));
	assert_int_equal(jobspec_decode(&a, v.spec, v.spec_bytes, &spec, NULL), 0);
	return spec;
}

/* The end's next frame, good until the one after it; body_case NOT_SET: it says nothing. */
static MAYBE const Link__Frame *next_of(struct link_end *end, uint64_t now)
{
	static _Alignas(16) uint8_t decoded[FRAME_ARENA_BYTES];
	static const Link__Frame nothing = LINK__FRAME__INIT;
	size_t n = link_next(end, now, out);
	const Link__Frame *f;
	struct arena a;

	if (!n)
		return &nothing;
	arena_init(&a, decoded, sizeof(decoded));
	assert_int_equal(frame_decode(&a, out, n, &f, NULL), 0);
	return f;
}

#endif
