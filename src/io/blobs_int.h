/* SPDX-License-Identifier: Apache-2.0 */
/* blobs_int - what blobs.c and blobs_sweep.c share; nobody else includes it. */
#ifndef OSIER_IO_BLOBS_INT_H
#define OSIER_IO_BLOBS_INT_H

#include <pthread.h>

#include "io/blobs.h"

#define BLOB_NAME_BYTES (SHA256_HEX + 2) /* "ab/cdef..." and NUL */
#define BLOB_LOCKS      16u

struct blobs {
	char *dir; /* DIR/blobs */
	int fd;
	struct blobs_limits limits;
	/* By digest. "It is there, and used now" against "it is not used: remove it", and against who places the same bytes. */
	pthread_mutex_t use[BLOB_LOCKS];
	pthread_mutex_t mutex;
	uint64_t next_tmp;        /* under mutex, as all that follows */
	bool counted;             /* usage is known */
	struct blobs_usage usage; /* kept up by put and remove once counted */
	uint64_t lacked;          /* bytes that were too many lately: for the next sweep */
	void (*pressed)(void *ctx);
	void *pressed_ctx;
};

static inline pthread_mutex_t *blob_use(struct blobs *b, const uint8_t digest[SHA256_BYTES])
{
	return &b->use[digest[0] % BLOB_LOCKS];
}

void blob_name(const uint8_t digest[SHA256_BYTES], char out[BLOB_NAME_BYTES]);
/* Add to the usage, once it is known. */
void blobs_count(struct blobs *b, int64_t blobs, int64_t bytes);

#endif
