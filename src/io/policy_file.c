/* SPDX-License-Identifier: Apache-2.0 */
/* policy_file - see policy_file.h. */
#include "io/policy_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

/* All of it; POLICY_BYTES_MAX + 1 bytes are too many. */
static int read_all(const char *path, char *out, size_t *out_n, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got = 1;
	size_t n = 0;

	if (fd < 0)
		return err_sys(e, "cannot open '%.160s'", path);
	while (n <= POLICY_BYTES_MAX && got > 0) {
		got = read(fd, out + n, POLICY_BYTES_MAX + 1 - n);
		n += got > 0 ? (size_t)got : 0;
	}
	if (got < 0)
		(void)err_sys(e, "cannot read '%.160s'", path);
	(void)close(fd);
	*out_n = n;
	return got < 0 ? -1 : 0;
}

struct policy *policy_file_read(const char *dir, const char *name, struct err *e)
{
	struct policy *p = NULL;
	char path[4096], *text;
	size_t n = 0;
	int len = name[0] == '/' ? snprintf(path, sizeof(path), "%s", name)
	                         : snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (len >= (int)sizeof(path)) {
		(void)err_set(e, ERR_INVALID, "the name of the policy is too long");
		return NULL;
	}
	text = malloc(POLICY_BYTES_MAX + 1);
	CHECK(text);
	if (read_all(path, text, &n, e) == 0) {
		p = malloc(sizeof(*p));
		CHECK(p);
		if (policy_parse(text, n, p, e) < 0) {
			(void)err_wrap(e, "'%.120s'", path);
			free(p);
			p = NULL;
		}
	}
	free(text);
	return p;
}
