/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8 - is it UTF-8 (RFC 3629)? Not characters, widths or cases. Pure.
 */
#ifndef OSIER_BASE_UTF8_H
#define OSIER_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length of the UTF-8 sequence at p (n bytes are there), 0 when it is not one: no overlong forms, no surrogates. */
size_t utf8_length(const uint8_t *p, size_t n);

#endif
