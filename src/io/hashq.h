/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hashq - moves files into the blob store on a thread of its own, so that hashing a large output does not hold up the loop.
 *
 * Everything is called from the loop thread. The thread starts with the first file and sleeps while there is none.
 */
#ifndef OSIER_IO_HASHQ_H
#define OSIER_IO_HASHQ_H

#include "io/blobs.h"

struct hashq;

struct hashq_done {
	void *tag;
	int rc; /* as blobs_take_file() */
	struct err err;
	uint8_t digest[SHA256_BYTES];
	uint64_t bytes;
};

/* `b` must outlive it. `done` is called by hashq_poll(), in the order of hashq_take_file(). */
int hashq_new(struct blobs *b, void (*done)(void *ctx, const struct hashq_done *d), void *ctx,
        struct hashq **out, struct err *e);
/* Finishes the file under way, leaves the others where they are; calls nothing. */
void hashq_free(struct hashq *q);

/* blobs_take_file(path) in the background; path is copied. */
int hashq_take_file(struct hashq *q, const char *path, void *tag, struct err *e);
size_t hashq_waiting(const struct hashq *q); /* taken and not yet reported */

/* Readable when hashq_poll() has something to report. */
int hashq_fd(const struct hashq *q);
void hashq_poll(struct hashq *q);

#endif
