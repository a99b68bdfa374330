/* SPDX-License-Identifier: Apache-2.0 */
/* config_load - the file behind config.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/config.h"
#include "io/doc_yaml.h"

static int read_file(
        struct arena *a, const char *path, bool optional, const char **out, size_t *out_n, struct err *e)
{
	struct stat st;
	char *text;
	size_t n = 0;
	ssize_t got = 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	*out = NULL;
	*out_n = 0;
	if (fd < 0)
		return optional && errno == ENOENT ? 0 : err_sys(e, "cannot open '%s'", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)DOC_BYTES_MAX) {
		(void)close(fd);
		return err_set(e, ERR_INVALID, "'%s' is not a file of at most %u bytes", path, DOC_BYTES_MAX);
	}
	text = arena_alloc(a, (size_t)st.st_size + 1);
	while (text && n < (size_t)st.st_size && got > 0) {
		got = read(fd, text + n, (size_t)st.st_size - n);
		n += got > 0 ? (size_t)got : 0;
	}
	(void)close(fd);
	if (!text)
		return err_set(e, ERR_FULL, "'%s' is too large", path);
	if (got < 0)
		return err_sys(e, "cannot read '%s'", path);
	*out = text;
	*out_n = n;
	return 0;
}

/* Nothing but white space and comments. */
static bool says_nothing(const char *p, size_t n)
{
	bool comment = false;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n')
			comment = false;
		else if (p[i] == '#')
			comment = true;
		else if (!comment && p[i] != ' ' && p[i] != '\r')
			return false;
	}
	return true;
}

int config_load(struct arena *a, const char *path, bool optional, struct config *c, struct err *e)
{
	struct jobspec_problem p;
	const struct doc *root;
	const char *text;
	size_t n;

	config_default(c);
	if (read_file(a, path, optional, &text, &n, e) < 0)
		return -1;
	if (!text || says_nothing(text, n))
		return 0;
	if (doc_yaml_parse(a, text, n, &root, &p) < 0)
		return err_set(e, ERR_INVALID, "%s:%u:%u: found %.80s, expected %.100s", path, p.line,
		        p.column, p.found, p.expected);
	return config_from_doc(a, root, path, c, e);
}
