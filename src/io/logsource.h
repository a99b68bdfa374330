/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logsource - where the files of a log are read from: a server, or a folder (C2SP tlog-tiles is the same tree in both).
 *
 * Nothing that comes is believed here; only its amount is limited. One thread at a time; blocking.
 */
#ifndef OSIER_IO_LOGSOURCE_H
#define OSIER_IO_LOGSOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LOG_BUNDLE_MAX (256u * (2u + 65535u)) /* bytes of a bundle of entries, the largest file of a log */

struct logsource {
	/* The file at `path` below the log's prefix, of at most `max` bytes; valid until the next call. ERR_NOTFOUND: there is
	 * none; ERR_DENIED: it is not for everybody; else it cannot be had. */
	int (*get)(
	        void *ctx, const char *path, size_t max, const uint8_t **out, size_t *out_n, struct err *e);
	void *ctx;
};

struct logsource_options {
	const char *ca_file; /* for https; NULL: the system's authorities */
	uint64_t timeout_ns; /* of one file */
	int stop_fd;         /* -1, or: give up when it is readable */
};

/* `where`: http://..., https://..., file:..., or a folder. The source's ctx is for logsource_close(). */
int logsource_open(
        const char *where, const struct logsource_options *o, struct logsource *out, struct err *e);
void logsource_close(struct logsource *s);

#endif
