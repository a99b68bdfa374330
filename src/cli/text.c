/* SPDX-License-Identifier: Apache-2.0 */
/* text - see text.h. */
#include "cli/text.h"

#include <errno.h>
#include <stdarg.h>

#include "base/check.h"

void *cli_alloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	CHECK(p);
	return p;
}

char *cli_dup(const char *s)
{
	char *p = strdup(s);

	CHECK(p);
	return p;
}

static void text_room(struct text *t, size_t n)
{
	size_t want = t->n + n + 1;

	if (want <= t->max)
		return;
	want = want < 64 ? 64 : want + want / 2;
	t->p = realloc(t->p, want);
	CHECK(t->p);
	t->max = want;
}

void text_add_n(struct text *t, const void *s, size_t n)
{
	text_room(t, n);
	if (n)
		memcpy(t->p + t->n, s, n);
	t->n += n;
	t->p[t->n] = '\0';
}

void text_add(struct text *t, const char *s)
{
	text_add_n(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	CHECK(n >= 0);
	text_room(t, (size_t)n);
	va_start(ap, fmt);
	(void)vsnprintf(t->p + t->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->n += (size_t)n;
}

void text_pad(struct text *t, size_t columns)
{
	text_room(t, columns);
	memset(t->p + t->n, ' ', columns);
	t->n += columns;
	t->p[t->n] = '\0';
}

const char *text_str(const struct text *t)
{
	return t->p ? t->p : "";
}

void text_clear(struct text *t)
{
	t->n = 0;
	if (t->p)
		t->p[0] = '\0';
}

void text_release(struct text *t)
{
	free(t->p);
	memset(t, 0, sizeof(*t));
}

/* ---- UTF-8 ---- */

/* Decode one character of s[0..n); returns its bytes, 0 when broken. RFC 3629: no overlong forms, no surrogates. */
static size_t utf8_decode(const unsigned char *s, size_t n, uint32_t *out)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80                   ? 1
	             : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
	             : (s[0] & 0xf0) == 0xe0       ? 3
	             : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
	                                           : 0;
	uint32_t c;

	if (len == 0 || len > n)
		return 0;
	c = len == 1 ? s[0] : s[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (c < least[len] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	*out = c;
	return len;
}

struct span {
	uint32_t from, to;
};

static bool in_spans(const struct span *v, size_t n, uint32_t c)
{
	for (size_t i = 0; i < n; i++)
		if (c >= v[i].from && c <= v[i].to)
			return true;
	return false;
}

/* Unicode's East Asian Width W and F, and general category Mn, in broad spans: enough for aligned tables. */
static size_t char_width(uint32_t c)
{
	static const struct span none[] = {{0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x610, 0x61a},
	        {0x64b, 0x65f}, {0x900, 0x902}, {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2064},
	        {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0x1ab0, 0x1aff},
	        {0x1dc0, 0x1dff}};
	static const struct span wide[] = {{0x1100, 0x115f}, {0x231a, 0x231b}, {0x23e9, 0x23ec},
	        {0x2614, 0x2615}, {0x26a1, 0x26a1}, {0x2705, 0x2705}, {0x274c, 0x274c}, {0x2e80, 0x303e},
	        {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xa000, 0xa4cf}, {0xac00, 0xd7a3},
	        {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f},
	        {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

	if (c < 0x300)
		return 1;
	if (in_spans(none, ARRAY_LEN(none), c))
		return 0;
	return in_spans(wide, ARRAY_LEN(wide), c) ? 2 : 1;
}

size_t text_fit(const char *s, size_t columns, size_t *out_width)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = strlen(s), at = 0, width = 0;

	while (at < n) {
		uint32_t c = 0;
		size_t len = utf8_decode(p + at, n - at, &c);
		size_t w = len ? char_width(c) : 1;

		if (width + w > columns)
			break;
		width += w;
		at += len ? len : 1;
	}
	if (out_width)
		*out_width = width;
	return at;
}

size_t text_width(const char *s)
{
	size_t w;

	(void)text_fit(s, SIZE_MAX / 2, &w);
	return w;
}

void text_add_clean(struct text *t, const char *s, size_t n, const char *keep)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t at = 0; at < n;) {
		uint32_t c = 0;
		size_t len = utf8_decode(p + at, n - at, &c);

		if (len == 0) {
			text_add_n(t, "?", 1);
			at++;
			continue;
		}
		if (len == 1 && c && c < 0x80 && strchr(keep, (int)c))
			text_add_n(t, p + at, 1);
		else if (c < 0x20 || c == 0x7f)
			text_addf(t, "\\x%02x", (unsigned)c);
		else if (c >= 0x80 && c < 0xa0)
			text_add_n(t, "?", 1);
		else
			text_add_n(t, p + at, len);
		at += len;
	}
}

/* ---- numbers for people ---- */

/* n.m units with one decimal where the whole part is below 10; the value is num/den. */
static void short_decimal(uint64_t num, uint64_t den, const char *unit, char *out, size_t room)
{
	uint64_t tenths = num / den * 10 + (num % den * 10 + den / 2) / den;

	if (tenths < 100 && tenths % 10)
		(void)snprintf(out, room, "%llu.%llu %s", (unsigned long long)(tenths / 10),
		        (unsigned long long)(tenths % 10), unit);
	else
		(void)snprintf(out, room, "%llu %s", (unsigned long long)((tenths + 5) / 10), unit);
}

const char *duration_text(uint64_t ns, char *out, size_t room)
{
	uint64_t s = ns / 1000000000u + (ns % 1000000000u >= 500000000u);

	if (ns == 0)
		(void)snprintf(out, room, "0 s");
	else if (ns < 1000000u)
		(void)snprintf(out, room, "%llu us", (unsigned long long)(ns + 999) / 1000);
	else if (ns < 999500000u)
		short_decimal(ns, 1000000u, "ms", out, room);
	else if (s < 10)
		short_decimal(ns, 1000000000u, "s", out, room);
	else if (s < 60)
		(void)snprintf(out, room, "%llu s", (unsigned long long)s);
	else if (s < 3600)
		(void)snprintf(
		        out, room, "%llu m %02llu s", (unsigned long long)s / 60, (unsigned long long)s % 60);
	else if (s < 86400)
		(void)snprintf(out, room, "%llu h %02llu m", (unsigned long long)s / 3600,
		        (unsigned long long)s / 60 % 60);
	else
		(void)snprintf(out, room, "%llu d %02llu h", (unsigned long long)s / 86400,
		        (unsigned long long)s / 3600 % 24);
	return out;
}

const char *size_text(uint64_t bytes, char *out, size_t room)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned u = 0;
	uint64_t den = 1;

	while (u + 1 < ARRAY_LEN(units) && bytes / den >= 1024) {
		den *= 1024;
		u++;
	}
	short_decimal(bytes, den, units[u], out, room);
	return out;
}

const char *count_text(uint64_t n, char *out, size_t room)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;

	for (size_t i = 0; i < len && at + 2 < room; i++) {
		if (i && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

const char *milli_text(uint64_t milli, char *out, size_t room)
{
	int n = snprintf(
	        out, room, "%llu.%03llu", (unsigned long long)milli / 1000, (unsigned long long)milli % 1000);

	CHECK(n > 0 && (size_t)n < room);
	while (out[n - 1] == '0')
		out[--n] = '\0';
	if (out[n - 1] == '.')
		out[n - 1] = '\0';
	return out;
}

const char *clock_text(uint64_t ns, uint64_t now_ns, char *out, size_t room)
{
	time_t t = (time_t)(ns / 1000000000u), now = (time_t)(now_ns / 1000000000u);
	struct tm a, b;

	if (!ns || !localtime_r(&t, &a) || !localtime_r(&now, &b)) {
		(void)snprintf(out, room, "-");
		return out;
	}
	if (a.tm_year == b.tm_year && a.tm_yday == b.tm_yday)
		(void)strftime(out, room, "%H:%M:%S", &a);
	else if (a.tm_year == b.tm_year)
		(void)strftime(out, room, "%b %d %H:%M", &a);
	else
		(void)strftime(out, room, "%Y-%m-%d", &a);
	return out;
}

/* ---- options ---- */

/* Read digits[.digits] as num/den with den a power of ten; returns the first byte after it, NULL when there is no number
 * or it is beyond 10^15. */
static const char *decimal_read(const char *s, uint64_t *num, uint64_t *den)
{
	const char *start = s;

	*num = 0;
	*den = 1;
	for (; *s >= '0' && *s <= '9'; s++) {
		*num = *num * 10 + (uint64_t)(*s - '0');
		if (*num > 1000000000000000u)
			return NULL;
	}
	if (s == start)
		return NULL;
	if (*s == '.') {
		s++;
		if (*s < '0' || *s > '9')
			return NULL;
		for (; *s >= '0' && *s <= '9'; s++) {
			if (*den >= 1000 || *num > 1000000000000u)
				return NULL;
			*num = *num * 10 + (uint64_t)(*s - '0');
			*den *= 10;
		}
	}
	return s;
}

/* num/den * unit, or false beyond 63 bits. */
static bool scaled(uint64_t num, uint64_t den, uint64_t unit, uint64_t *out)
{
	unsigned __int128 v = (unsigned __int128)num * unit / den;

	if (v > INT64_MAX)
		return false;
	*out = (uint64_t)v;
	return true;
}

int duration_parse(const char *s, uint64_t *out_ns, struct err *e)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"ms", 1000000u}, {"us", 1000u}, {"ns", 1u}, {"s", 1000000000u}, {"m", 60000000000u},
	        {"h", 3600000000000u}, {"d", 86400000000000u}};
	const char *p = s;
	uint64_t total = 0;

	do {
		uint64_t num, den, part, unit = 0;
		size_t len = 0;

		p = decimal_read(p, &num, &den);
		if (!p)
			goto bad;
		if (*p == '\0' && total == 0) {
			unit = 1000000000u;
		} else {
			for (size_t i = 0; i < ARRAY_LEN(units) && !unit; i++) {
				len = strlen(units[i].name);
				if (strncmp(p, units[i].name, len) == 0)
					unit = units[i].ns;
			}
		}
		if (!unit || !scaled(num, den, unit, &part) || part > INT64_MAX - total)
			goto bad;
		p += len;
		total += part;
	} while (*p);
	*out_ns = total;
	return 0;
bad:
	(void)err_set(e, ERR_INVALID, "'%.60s' is not a duration", s);
	(void)err_hint(e, "write it like 90s, 5m, 1h30m or 2d");
	return -1;
}

int size_parse(const char *s, uint64_t *out_bytes, struct err *e)
{
	static const char letters[] = "KMGTP";
	uint64_t num, den, unit = 1, bytes;
	const char *p = decimal_read(s, &num, &den), *at;

	if (!p)
		goto bad;
	if (*p && strcmp(p, "B") != 0) {
		char letter = *p == 'k' ? 'K' : *p;
		bool decimal = p[1] == 'B';

		at = strchr(letters, letter);
		if (!at || (p[1] && !decimal && strcmp(p + 1, "iB") != 0 && strcmp(p + 1, "i") != 0) ||
		        (decimal && p[2]))
			goto bad;
		for (long i = 0; i <= at - letters; i++)
			unit *= decimal ? 1000u : 1024u;
	}
	if (!scaled(num, den, unit, &bytes))
		goto bad;
	*out_bytes = bytes;
	return 0;
bad:
	(void)err_set(e, ERR_INVALID, "'%.60s' is not a size", s);
	(void)err_hint(e, "write it like 512MiB, 4G or 100000");
	return -1;
}

int number_parse(const char *s, const char *what, uint64_t max, uint64_t *out, struct err *e)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno) {
		(void)err_set(e, ERR_INVALID, "%s must be a whole number, not '%.60s'", what, s);
		return -1;
	}
	if (v > max) {
		(void)err_set(e, ERR_INVALID, "%s is %llu, at most %llu is possible", what, v,
		        (unsigned long long)max);
		return -1;
	}
	*out = v;
	return 0;
}

const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

int count_parse(const char *s, const char *what, uint64_t max, uint64_t *out, struct err *e)
{
	uint64_t n;

	if (number_parse(s, what, max, &n, e) < 0)
		return -1;
	if (n == 0)
		return err_set(e, ERR_INVALID, "%s is 0, at least 1 is possible", what);
	*out = n;
	return 0;
}

uint64_t time_parse(const char *s)
{
	struct tm tm = {0};
	const char *p = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	uint64_t ns = 0, unit = 100000000u;
	long offset = 0;
	time_t t;

	if (!p)
		return 0;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			ns += (uint64_t)(*p - '0') * unit;
	if ((*p == '+' || *p == '-') && strlen(p) >= 6)
		offset = (*p == '-' ? -60L : 60L) * (strtol(p + 1, NULL, 10) * 60 + strtol(p + 4, NULL, 10));
	else if (*p != 'Z' && *p != 'z')
		return 0;
	t = timegm(&tm) - offset;
	return t < 0 ? 0 : (uint64_t)t * 1000000000u + ns;
}

unsigned word_distance(const char *a, const char *b, unsigned most)
{
	enum { MAX = 32 };
	unsigned d[3][MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > MAX || nb > MAX)
		return most + 1;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *row = d[i % 3], *up = d[(i - 1) % 3], *up2 = d[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned v = up[j - 1] + (a[i - 1] != b[j - 1]);

			if (up[j] + 1 < v)
				v = up[j] + 1;
			if (row[j - 1] + 1 < v)
				v = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			        up2[j - 2] + 1 < v)
				v = up2[j - 2] + 1;
			row[j] = v;
		}
	}
	return d[na % 3][nb] > most ? most + 1 : d[na % 3][nb];
}
