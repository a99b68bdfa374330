/* SPDX-License-Identifier: Apache-2.0 */
/* err - see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Whoever shows it takes it for text: answers in JSON, terminals. What was cut in the middle of a character loses that one. */
static void make_plain(char *text)
{
	uint8_t *p = (uint8_t *)text;
	size_t n = strlen(text), k;

	for (size_t at = 0; at < n; at += k) {
		k = utf8_length(p + at, n - at);
		if (k > 1 &&
		        !(k == 2 && p[at] == 0xc2 && p[at + 1] < 0xa0)) /* C1: terminals obey them, too */
			continue;
		if (k == 1 && ((p[at] >= ' ' && p[at] != 0x7f) || p[at] == '\n' || p[at] == '\t'))
			continue;
		memset(p + at, '?', k = k ? k : 1);
	}
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	e->code = code;
	e->sys = 0;
	e->hint[0] = '\0';
	va_start(ap, fmt);
	(void)vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	make_plain(e->msg);
	return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	int sys = errno;
	size_t n;
	va_list ap;

	if (!e)
		return -1;
	e->code = ERR_SYSTEM;
	e->sys = sys;
	e->hint[0] = '\0';
	va_start(ap, fmt);
	(void)vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	(void)snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", strerror(sys));
	make_plain(e->msg);
	return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
	make_plain(e->hint);
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->msg)];
	size_t n;
	va_list ap;

	if (!e)
		return -1;
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	(void)snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", old);
	make_plain(e->msg);
	return -1;
}

bool err_passes(const struct err *e)
{
	return e->code == ERR_CLOSED || e->code == ERR_TIMEOUT || e->code == ERR_SYSTEM ||
	       e->code == ERR_FULL;
}

const char *err_code_name(enum err_code code)
{
	switch (code) {
	case ERR_NONE:
		return "none";
	case ERR_INVALID:
		return "invalid";
	case ERR_NOTFOUND:
		return "not_found";
	case ERR_EXISTS:
		return "exists";
	case ERR_DENIED:
		return "denied";
	case ERR_FULL:
		return "full";
	case ERR_CORRUPT:
		return "corrupt";
	case ERR_VERSION:
		return "version";
	case ERR_SYSTEM:
		return "system";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_REMOVED:
		return "removed";
	case ERR_CLOSED:
		return "closed";
	case ERR_FENCED:
		return "fenced";
	}
	return "unknown";
}
