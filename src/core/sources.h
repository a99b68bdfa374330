/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sources - what the tasks of a lease take from earlier steps, resolved: for a node that has neither those steps nor their outputs.
 *
 * A table of files (size, SHA-256, and the bytes of small ones), and for each task in order which of them it takes: first those of a
 * reduction, in order; then one for each Input with from_step, in order; then the stdin_file if it has from_step. Small files of the
 * table lie inline, one after the other, or, when that is too much for a frame, so in one blob, the pack, which is one file to fetch
 * instead of a thousand. All others are blobs. Whoever made the table has the blobs. Not where they come from: the shell finds outputs. Pure.
 */
#ifndef OSIER_CORE_SOURCES_H
#define OSIER_CORE_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "wire/osier.pb-c.h"

#define SOURCES_MAX       1024u       /* files that all tasks of one lease take */
#define SOURCE_INLINE_MAX (64u << 10) /* a small file; and what may lie in the table itself, of all */
#define SOURCE_PACK_MAX   (4u << 20)  /* what may lie in a pack */
#define SOURCE_MISSING    UINT64_MAX  /* as `bytes`: whoever resolved it does not keep it any more */

/* How many files a task of the step takes from earlier steps at most, besides those of a reduction. */
uint32_t sources_plain(const Wire__Step *st);
/* The same with those of a reduction. UINT64_MAX: more than can be counted. */
uint64_t sources_most(const Wire__JobSpec *spec, const Wire__Step *st);

/* Is the table of a step (which may be NULL) what this header says? */
int sources_ok(const Wire__Step *st, struct err *e);

struct source_view {
	const uint8_t *data; /* NULL: a blob, or empty, or missing */
	uint64_t bytes;      /* SOURCE_MISSING */
	const uint8_t *sha256;
};
/* Of task `task` (the first is 0): how many it takes in all, how many of them are a reduction's, and file i. The table is sources_ok(). */
uint32_t sources_count(const Wire__Sources *s, uint64_t task);
uint32_t sources_reduced(const Wire__Step *st, uint64_t task);
/* `pack`: its bytes (sources_small() of them), or NULL where there is none, or it is not needed: then small files in it have no data. */
void sources_at(
        const Wire__Sources *s, uint64_t task, uint32_t i, const uint8_t *pack, struct source_view *out);
size_t sources_small(const Wire__Sources *s);
/* Call `fn` for each blob that the tasks take, with the pack; a blob may come more than once. */
void sources_blobs(
        const Wire__Sources *s, void (*fn)(void *ctx, const uint8_t digest[32], uint64_t bytes), void *ctx);
/* The same for all blobs that a step names itself: input files, parameters, and its table. bytes: UINT64_MAX when not known. */
void sources_step_blobs(
        const Wire__Step *step, void (*fn)(void *ctx, const uint8_t digest[32], uint64_t bytes), void *ctx);

/* Making a table. What is too many is said by sources_add() < 0; memory is the arena's. */
struct sources_building {
	Wire__Sources s;
	uint64_t tasks_max;
	size_t small_room;
};
/* small_bytes: what all small files may have together; with more than SOURCE_INLINE_MAX, `data` must be made a pack in the end. < 0: the
 * arena is full. */
int sources_begin(
        struct sources_building *b, uint64_t tasks, bool reduce, size_t small_bytes, struct arena *a);
/* A further task; then its files. */
void sources_task(struct sources_building *b);
/* The task takes a file that is in the table already; or a new one, whose number in the table is told. A file with `data` is a
 * small one where sources_fits() says that there is room, else it must be a blob by now. < 0: too many. */
bool sources_fits(const struct sources_building *b, uint64_t bytes);
int sources_again(struct sources_building *b, uint32_t which);
int sources_add(struct sources_building *b, const struct source_view *f, uint32_t *out_which);

/* What is left of the table for tasks [first, first+n): for a node further down. NULL: the arena is full. */
Wire__Sources *sources_cut(const Wire__Sources *s, uint64_t first, uint64_t n, struct arena *a);

#endif
