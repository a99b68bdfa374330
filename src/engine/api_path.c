/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_path - see the header.
 */
#include "engine/api_path.h"

#include <stdio.h>
#include <string.h>

#include "engine/json_out.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool is_utf8(const char *s, size_t n)
{
	size_t i = 0, len;

	for (; i < n; i += len) {
		len = utf8_length((const uint8_t *)s + i, n - i);
		if (!len)
			return false;
	}
	return true;
}

int url_decode(char *s, bool plus, size_t *out_n, struct err *e)
{
	char *from = s, *to = s;

	for (; *from; from++, to++) {
		*to = *from;
		if (plus && *from == '+')
			*to = ' ';
		if (*from != '%')
			continue;
		int hi = hex_value(from[1]), lo = hi < 0 ? -1 : hex_value(from[2]);

		if (lo < 0)
			return err_set(e, ERR_INVALID,
			        "'%%' in the address is not followed by two hexadecimal digits");
		if (!hi && !lo)
			return err_set(e, ERR_INVALID, "the address contains a zero byte");
		*to = (char)(hi << 4 | lo);
		from += 2;
	}
	*to = 0;
	if (!is_utf8(s, (size_t)(to - s)))
		return err_set(e, ERR_INVALID, "the address is not UTF-8");
	if (out_n)
		*out_n = (size_t)(to - s);
	return 0;
}

int path_split(const char *url, unsigned rest, struct path *out, struct err *e)
{
	size_t n = strlen(url);
	char *p, *end;

	out->n = 0;
	if (url[0] != '/')
		return err_set(e, ERR_INVALID, "the address does not begin with '/'");
	if (n >= sizeof(out->text))
		return err_set(e, ERR_INVALID, "the address is longer than %u bytes", PATH_BYTES_MAX - 1);
	memcpy(out->text, url, n + 1);
	if (n > 1 && out->text[n - 1] == '/')
		out->text[n - 1] = 0;
	for (p = out->text + 1; *p || p[-1] == '/'; p = end + 1) {
		bool last = rest && out->n + 1 >= rest;

		end = last ? NULL : strchr(p, '/');
		if (out->n == PATH_SEGMENTS_MAX)
			return err_set(e, ERR_NOTFOUND, "there is nothing that deep");
		if (end)
			*end = 0;
		out->v[out->n++] = p;
		if (!end)
			break;
	}
	for (unsigned i = 0; i < out->n; i++)
		if (url_decode((char *)(uintptr_t)out->v[i], false, NULL, e) < 0)
			return -1;
	return 0;
}

bool path_match(const struct path *p, const char *pattern, const char *bound[PATH_BINDS_MAX])
{
	unsigned i = 0, b = 0;

	while (*pattern == '/') {
		const char *word = pattern + 1, *end = strchr(word, '/');
		size_t n = end ? (size_t)(end - word) : strlen(word);

		if (i == p->n)
			return false;
		if (word[0] == '{') {
			if (!p->v[i][0] || b == PATH_BINDS_MAX)
				return false;
			bound[b++] = p->v[i];
		} else if (strlen(p->v[i]) != n || memcmp(p->v[i], word, n) != 0) {
			return false;
		}
		i++;
		pattern = word + n;
	}
	return i == p->n;
}

int path_number(const char *text, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		unsigned d = (unsigned)(*text - '0');

		if (*text < '0' || *text > '9' || v > (UINT64_MAX - d) / 10)
			return -1;
		v = v * 10 + d;
	}
	*out = v;
	return 0;
}

int path_signed(const char *text, int64_t *out)
{
	bool minus = *text == '-';
	uint64_t v;

	if (path_number(text + minus, &v) < 0 || v > INT64_MAX)
		return -1;
	*out = minus ? -(int64_t)v : (int64_t)v;
	return 0;
}

int path_digest(const char *text, uint8_t out[32])
{
	if (strlen(text) != 64)
		return -1;
	for (int i = 0; i < 32; i++) {
		int hi = hex_value(text[2 * i]), lo = hex_value(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -1;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

void job_name_text(const char *name, uint64_t job, char *out, size_t room)
{
	char number[24];
	size_t k = (size_t)snprintf(number, sizeof(number), "-%llu", (unsigned long long)job);
	size_t n = strlen(name);

	if (n + k >= room)
		n = room > k + 1 ? room - k - 1 : 0;
	snprintf(out, room, "%.*s%s", (int)n, name, number);
}

static int not_found(const char *name, struct err *e)
{
	err_set(e, ERR_NOTFOUND, "there is no job '%.80s'", name);
	return err_hint(e, "'osier jobs' lists them");
}

/* NAME-N written out in full: right only if job N has that name. */
static bool exact_name(const struct name_source *s, const char *name, uint64_t *out_job)
{
	const char *dash = strrchr(name, '-'), *is;
	uint64_t job;

	if (!dash || path_number(dash + 1, &job) < 0 || !s->get(s->ctx, job, &is))
		return false;
	if (strlen(is) != (size_t)(dash - name) || memcmp(is, name, (size_t)(dash - name)) != 0)
		return false;
	*out_job = job;
	return true;
}

int name_resolve(const struct name_source *s, const char *name, uint64_t *out_job, struct name_candidates *c,
        struct err *e)
{
	size_t n = strlen(name);
	uint64_t job, found = 0, at = 0;
	const char *is;
	unsigned hits = 0;

	if (!n)
		return err_set(e, ERR_INVALID, "the name of the job is empty");
	if (c)
		*c = (struct name_candidates){0};
	if (!strcmp(name, "last")) {
		if (s->below(s->ctx, 0, out_job, &is))
			return 0;
		return err_set(e, ERR_NOTFOUND, "there is no job yet");
	}
	if (path_number(name, &job) == 0) {
		if (!s->get(s->ctx, job, &is))
			return not_found(name, e);
		*out_job = job;
		return 0;
	}
	if (exact_name(s, name, out_job))
		return 0;
	while (s->below(s->ctx, at, &job, &is)) {
		char text[512];

		at = job;
		job_name_text(is, job, text, sizeof(text));
		if (strncmp(text, name, n) != 0)
			continue;
		found = job;
		if (c && hits < NAME_CANDIDATES_MAX)
			job_name_text(is, job, c->v[c->n++], NAME_TEXT_BYTES);
		else if (c)
			c->more = true;
		hits++;
		if (hits > NAME_CANDIDATES_MAX)
			break;
	}
	if (!hits)
		return not_found(name, e);
	if (hits > 1) {
		err_set(e, ERR_EXISTS, "'%.80s' could be %s%u jobs", name,
		        hits > NAME_CANDIDATES_MAX ? "more than " : "",
		        hits > NAME_CANDIDATES_MAX ? NAME_CANDIDATES_MAX : hits);
		return err_hint(e, "give more of the name, or the number; 'last' is the newest job");
	}
	*out_job = found;
	return 0;
}

int name_cut(char *text, const char **out_job, const char **out_step, const char **out_index, struct err *e)
{
	char *a = strchr(text, '/'), *b = a ? strchr(a + 1, '/') : NULL;

	if (b && strchr(b + 1, '/'))
		return err_set(
		        e, ERR_INVALID, "'%.80s' has more than three parts: a task is JOB/STEP/INDEX", text);
	if (text[0] == 0 || a == text || (a && !a[1]) || (a && b == a + 1) || (b && !b[1]))
		return err_set(e, ERR_INVALID, "'%.80s' has an empty part: a task is JOB/STEP/INDEX", text);
	*out_job = text;
	*out_step = a ? a + 1 : NULL;
	*out_index = b ? b + 1 : NULL;
	if (a)
		*a = 0;
	if (b)
		*b = 0;
	return 0;
}
