/* SPDX-License-Identifier: Apache-2.0 */
/* base64 - see base64.h. */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_write(const void *bytes, size_t n, char *out)
{
	const uint8_t *p = bytes;
	char *at = out;

	for (; n >= 3; n -= 3, p += 3) {
		*at++ = alphabet[p[0] >> 2];
		*at++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
		*at++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
		*at++ = alphabet[p[2] & 63];
	}
	if (n) {
		uint8_t second = n == 2 ? p[1] : 0;

		*at++ = alphabet[p[0] >> 2];
		*at++ = alphabet[(p[0] & 3) << 4 | second >> 4];
		*at++ = n == 2 ? alphabet[(second & 15) << 2] : '=';
		*at++ = '=';
	}
	*at = '\0';
	return (size_t)(at - out);
}

static int value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long base64_read(const char *text, size_t n, uint8_t *out, size_t max)
{
	size_t pad = n < 2 || text[n - 1] != '=' ? 0 : text[n - 2] == '=' ? 2 : 1, bytes, got = 0;
	uint32_t bits = 0;

	if (n % 4 != 0) /* then n < 2 is n == 0 */
		return -1;
	bytes = n / 4 * 3 - pad;
	if (bytes > max)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int v = i < n - pad ? value(text[i]) : 0;

		if (v < 0)
			return -1;
		bits = bits << 6 | (uint32_t)v;
		if (i % 4 != 3)
			continue;
		for (int shift = 16; shift >= 0; shift -= 8) {
			uint8_t b = (uint8_t)(bits >> shift);

			if (got < bytes)
				out[got++] = b;
			else if (b)
				return -1;
		}
		bits = 0;
	}
	return (long)bytes;
}
