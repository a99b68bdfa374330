/* SPDX-License-Identifier: Apache-2.0 */
/* jsontext - see jsontext.h. */
#include "core/jsontext.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* ---- writing ---- */

static void put(struct jsonw *w, const void *p, size_t n)
{
	size_t room = w->n < w->max ? w->max - w->n : 0;

	if (room)
		memcpy(w->p + w->n, p, n < room ? n : room);
	w->n += n;
}

void jw_raw(struct jsonw *w, const char *text)
{
	put(w, text, strlen(text));
}

void jw_str_n(struct jsonw *w, const char *s, size_t n)
{
	put(w, "\"", 1);
	for (size_t i = 0, len; i < n; i += len ? len : 1) {
		uint8_t c = (uint8_t)s[i];
		char escaped[8];

		len = utf8_length((const uint8_t *)s + i, n - i);
		if (len == 0) {
			put(w, "\xef\xbf\xbd", 3);
		} else if (c == '"' || c == '\\') {
			put(w, "\\", 1);
			put(w, s + i, 1);
		} else if (c < 0x20 || c == 0x7f) {
			put(w, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", c));
		} else {
			put(w, s + i, len);
		}
	}
	put(w, "\"", 1);
}

void jw_str(struct jsonw *w, const char *s)
{
	jw_str_n(w, s ? s : "", s ? strlen(s) : 0);
}

void jw_u64(struct jsonw *w, uint64_t v)
{
	char text[24];

	put(w, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, v));
}

void jw_i64(struct jsonw *w, int64_t v)
{
	char text[24];

	put(w, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, v));
}

void jw_hex(struct jsonw *w, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	put(w, "\"", 1);
	for (size_t i = 0; i < n; i++) {
		put(w, &digits[p[i] >> 4], 1);
		put(w, &digits[p[i] & 15], 1);
	}
	put(w, "\"", 1);
}

/* Days since 1970 to a date of the Gregorian calendar, counted in eras of 400 years that begin on the first of March. */
void jw_time(struct jsonw *w, uint64_t ns)
{
	uint64_t s = ns / 1000000000u, days = s / 86400 + 719468, era = days / 146097, day = days % 146097;
	uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint64_t of_year = day - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
	char text[64];

	day = of_year - (153 * month + 2) / 5 + 1;
	month = month < 10 ? month + 3 : month - 9;
	year += era * 400 + (month <= 2);
	put(w, text,
	        (size_t)snprintf(text, sizeof(text),
	                "\"%04" PRIu64 "-%02" PRIu64 "-%02" PRIu64 "T%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64
	                "Z\"",
	                year, month, day, s / 3600 % 24, s / 60 % 60, s % 60));
}

/* ---- reading ---- */

static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_INVALID, "not JSON: %s", what);
}

static void space(struct jsonr *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static bool next_is(struct jsonr *r, char c)
{
	space(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static int hex4(struct jsonr *r, uint32_t *out)
{
	*out = 0;
	if (r->end - r->p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = *r->p++;

		if (c >= '0' && c <= '9')
			*out = *out << 4 | (uint32_t)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			*out = *out << 4 | (uint32_t)((c | 32) - 'a' + 10);
		else
			return -1;
	}
	return 0;
}

/* Behind "\u": one code point, as UTF-8 at *to. */
static int unicode(struct jsonr *r, char **to)
{
	uint32_t c, low;
	char *t = *to;

	if (hex4(r, &c) < 0)
		return -1;
	if (c >= 0xd800 && c < 0xdc00) {
		if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
			return -1;
		r->p += 2;
		if (hex4(r, &low) < 0 || low < 0xdc00 || low > 0xdfff)
			return -1;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		return -1;
	}
	if (c < 0x80) {
		*t++ = (char)c;
	} else {
		int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
		static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};

		*t++ = (char)(lead[more] | c >> (6 * more));
		while (more-- > 0)
			*t++ = (char)(0x80 | (c >> (6 * more) & 0x3f));
	}
	*to = t;
	return 0;
}

static int escape(struct jsonr *r, char **to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *at;

	if (r->p == r->end)
		return -1;
	if (*r->p == 'u') {
		r->p++;
		return unicode(r, to);
	}
	at = *r->p ? strchr(from, *r->p) : NULL;
	if (!at)
		return -1;
	r->p++;
	*(*to)++ = into[at - from];
	return 0;
}

/* The last quote of the string that begins at r->p. */
static const char *string_end(const struct jsonr *r)
{
	for (const char *p = r->p; p < r->end; p++) {
		if (*p == '"')
			return p;
		if (*p == '\\')
			p++;
	}
	return NULL;
}

int jr_string(struct jsonr *r, const char **out, size_t *out_n, struct err *e)
{
	const char *last;
	char *to, *start;

	if (!next_is(r, '"'))
		return bad(e, "a string is missing");
	last = string_end(r);
	if (!last)
		return bad(e, "a string does not end");
	/* No escape is longer than what it stands for: \uXXXX has six bytes and gives three at most. */
	to = start = arena_alloc(r->a, (size_t)(last - r->p) + 1);
	if (!to)
		return err_set(e, ERR_FULL, "the text is too large");
	while (r->p < last) {
		size_t len = utf8_length((const uint8_t *)r->p, (size_t)(last - r->p));

		if (len == 0 || (uint8_t)*r->p < 0x20)
			return bad(e, "a string has bytes that may not be in one");
		if (*r->p == '\\') {
			r->p++;
			if (escape(r, &to) < 0 || r->p > last)
				return bad(e, "a string has an escape that there is not");
			continue;
		}
		memcpy(to, r->p, len);
		to += len;
		r->p += len;
	}
	*to = '\0';
	r->p = last + 1;
	*out = start;
	*out_n = (size_t)(to - start);
	return 0;
}

int jr_member(struct jsonr *r, bool *first, const char **key, size_t *key_n, struct err *e)
{
	bool was_first = *first;

	if (was_first) {
		if (!next_is(r, '{'))
			return bad(e, "an object is missing");
		if (++r->depth > JSONTEXT_DEPTH_MAX)
			return bad(e, "it goes too deep");
	}
	*first = false;
	if (next_is(r, '}')) {
		r->depth--;
		return 0;
	}
	if (!was_first && !next_is(r, ','))
		return bad(e, "a comma is missing");
	if (jr_string(r, key, key_n, e) < 0)
		return -1;
	return next_is(r, ':') ? 1 : bad(e, "a colon is missing");
}

int jr_element(struct jsonr *r, bool *first, struct err *e)
{
	bool was_first = *first;

	if (was_first) {
		if (!next_is(r, '['))
			return bad(e, "an array is missing");
		if (++r->depth > JSONTEXT_DEPTH_MAX)
			return bad(e, "it goes too deep");
	}
	*first = false;
	if (next_is(r, ']')) {
		r->depth--;
		return 0;
	}
	if (!was_first && !next_is(r, ','))
		return bad(e, "a comma is missing");
	return 1;
}

/* number = [ "-" ] int [ frac ] [ exp ], RFC 8259, section 6 */
static size_t number_length(const char *p, const char *end)
{
	const char *start = p, *digits;

	if (p < end && *p == '-')
		p++;
	digits = p;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	if (p == digits || (*digits == '0' && p - digits > 1))
		return 0;
	if (p < end && *p == '.') {
		digits = ++p;
		while (p < end && *p >= '0' && *p <= '9')
			p++;
		if (p == digits)
			return 0;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		digits = p;
		while (p < end && *p >= '0' && *p <= '9')
			p++;
		if (p == digits)
			return 0;
	}
	return (size_t)(p - start);
}

static int skip_plain(struct jsonr *r, struct err *e)
{
	static const char *const words[] = {"true", "false", "null"};
	size_t n;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		n = strlen(words[i]);
		if ((size_t)(r->end - r->p) >= n && memcmp(r->p, words[i], n) == 0) {
			r->p += n;
			return 0;
		}
	}
	n = number_length(r->p, r->end);
	r->p += n;
	return n ? 0 : bad(e, "a value is missing");
}

/* Deep at most as JSONTEXT_DEPTH_MAX, which jr_member() and jr_element() see to. */
int jr_skip(struct jsonr *r, struct err *e)
{
	const char *key;
	bool first = true;
	size_t n;
	int more;

	space(r);
	if (r->p == r->end)
		return bad(e, "it ends too early");
	if (*r->p == '"')
		return jr_string(r, &key, &n, e);
	if (*r->p == '{') {
		while ((more = jr_member(r, &first, &key, &n, e)) > 0)
			if (jr_skip(r, e) < 0)
				return -1;
		return more;
	}
	if (*r->p == '[') {
		while ((more = jr_element(r, &first, e)) > 0)
			if (jr_skip(r, e) < 0)
				return -1;
		return more;
	}
	return skip_plain(r, e);
}

int jr_end(struct jsonr *r, struct err *e)
{
	space(r);
	return r->p == r->end ? 0 : bad(e, "something follows its end");
}
