/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip - bytes made smaller for who reads them over HTTP (RFC 1952), by zlib.
 *
 * Any thread.
 */
#ifndef OSIER_IO_GZIP_H
#define OSIER_IO_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out is malloc'd. False: it would not be smaller, nothing is set. */
bool gzip_bytes(const void *p, size_t n, uint8_t **out, size_t *out_n);

/* Does an Accept-Encoding header (NULL: none) allow gzip (RFC 9110, 12.5.3)? */
bool gzip_accepted(const char *header);

#endif
