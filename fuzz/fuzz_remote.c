/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_remote - any text as the address of another machine: refused with words, or one in which ssh finds neither options nor blanks. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "cli/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	const char *p, *at;
	char text[1024];

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (remote_check(text, &e) < 0) {
		CHECK(e.msg[0] && e.hint[0]);
		return 0;
	}
	p = text + strlen(REMOTE_PREFIX);
	at = strchr(p, '@');
	CHECK(strncmp(text, REMOTE_PREFIX, strlen(REMOTE_PREFIX)) == 0 && *p != '-' && *p != '@');
	CHECK(!at || (at[1] != '-' && strncmp(at + 1, "[-", 2) != 0));
	CHECK(!strpbrk(p, " \t\n'\"`$;&|<>()\\"));
	return 0;
}
