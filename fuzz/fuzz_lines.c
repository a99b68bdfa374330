/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_lines - any file as an array's lines: refused, or each line is what a naive reader finds. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "io/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("lines", MFD_CLOEXEC);
	struct lines *l;
	struct err e = {0};
	const char *line;
	uint64_t i = 0;
	size_t at = 0, n;

	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (lines_open_take(fd, &l, &e) < 0) {
		CHECK(e.code == ERR_INVALID);
		return 0;
	}
	for (; at < size; i++) {
		const uint8_t *nl = memchr(data + at, '\n', size - at);
		size_t want = nl ? (size_t)(nl - data) - at : size - at;

		CHECK(lines_get(l, i, &line, &n, &e) == 0);
		CHECK(n == want && n <= LINE_BYTES_MAX && memcmp(line, data + at, n) == 0);
		CHECK(!memchr(line, '\0', n));
		at += want + 1;
	}
	CHECK(lines_count(l) == i && lines_get(l, i, &line, &n, &e) < 0 && e.code == ERR_NOTFOUND);
	lines_close(l);
	return 0;
}
