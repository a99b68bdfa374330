/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64 - RFC 4648, section 4: the standard alphabet, with padding, nothing else accepted.
 *
 * Strict, because what is signed must have one spelling: no white space, no missing or excess padding, and the bits that
 * padding leaves over are zero. Pure.
 */
#ifndef OSIER_BASE_BASE64_H
#define OSIER_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#define BASE64_CHARS(n) (((n) + 2) / 3 * 4) /* that n bytes take, without a final NUL */

/* Write BASE64_CHARS(n) characters and a NUL; returns their number. */
size_t base64_write(const void *bytes, size_t n, char *out);

/* Read n characters into out, which has room for max bytes. Returns the number of bytes, or -1: not base64 as above, or more
 * than max. */
long base64_read(const char *text, size_t n, uint8_t *out, size_t max);

#endif
