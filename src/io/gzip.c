/* SPDX-License-Identifier: Apache-2.0 */
/* gzip - see gzip.h. */
#include "io/gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "base/check.h"

enum { WINDOW_GZIP = 15 + 16 }; /* of 32 KiB, with gzip's head and tail */

bool gzip_bytes(const void *p, size_t n, uint8_t **out, size_t *out_n)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)n};
	uint8_t *buf;
	bool done;

	if (n < 32 || n > INT_MAX ||
	        deflateInit2(&z, 6, Z_DEFLATED, WINDOW_GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	buf = malloc(n);
	CHECK(buf);
	z.next_out = buf;
	z.avail_out = (uInt)n - 1;
	done = deflate(&z, Z_FINISH) == Z_STREAM_END;
	*out_n = done ? z.total_out : *out_n;
	(void)deflateEnd(&z);
	if (done)
		*out = buf;
	else
		free(buf);
	return done;
}

/* Is the weight after ";" zero: "q=0", "q=0.000"? */
static bool refused(const char *p, size_t n)
{
	const char *q = memchr(p, ';', n);
	size_t i = q ? (size_t)(q - p) + 1 : n;

	while (i < n && (p[i] == ' ' || p[i] == '\t'))
		i++;
	if (n - i < 3 || (p[i] != 'q' && p[i] != 'Q') || p[i + 1] != '=')
		return false;
	for (i += 2; i < n; i++)
		if (p[i] >= '1' && p[i] <= '9')
			return false;
	return true;
}

bool gzip_accepted(const char *header)
{
	while (header && *header) {
		size_t n = strcspn(header, ","), lead = strspn(header, " \t"), name;

		if (lead < n) {
			name = strcspn(header + lead, " \t;,");
			if (name == 4 && strncasecmp(header + lead, "gzip", 4) == 0)
				return !refused(header + lead, n - lead);
		}
		header += n + (header[n] == ',');
	}
	return false;
}
