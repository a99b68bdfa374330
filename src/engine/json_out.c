/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_out - see the header. Whether a comma is due is seen from the last byte written, so there is no state to carry.
 */
#include "engine/json_out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void jo_init(struct json_out *o)
{
	*o = (struct json_out){0};
}

void jo_release(struct json_out *o)
{
	if (!o)
		return;
	free(o->buf);
	*o = (struct json_out){0};
}

void jo_clear(struct json_out *o)
{
	o->n = 0;
}

char *jo_take(struct json_out *o, size_t *out_n)
{
	char *p = o->buf;

	*out_n = o->n;
	*o = (struct json_out){0};
	return p;
}

/* Room for k more bytes. */
static char *room(struct json_out *o, size_t k)
{
	if (o->max - o->n < k) {
		size_t max = o->max ? o->max : 512;

		while (max - o->n < k) {
			CHECK(max <= SIZE_MAX / 2);
			max *= 2;
		}
		o->buf = realloc(o->buf, max);
		CHECK(o->buf);
		o->max = max;
	}
	return o->buf + o->n;
}

void jo_raw(struct json_out *o, const char *s, size_t n)
{
	if (!n)
		return;
	memcpy(room(o, n), s, n);
	o->n += n;
}

static void put(struct json_out *o, char c)
{
	*room(o, 1) = c;
	o->n++;
}

/* Before a value or key: a comma, unless this is the first one here. A space or newline ends the frame of an event. */
static void comma(struct json_out *o)
{
	char last;

	if (!o->n)
		return;
	last = o->buf[o->n - 1];
	if (last != '{' && last != '[' && last != ':' && last != ' ' && last != '\n')
		put(o, ',');
}

void jo_object(struct json_out *o)
{
	comma(o);
	put(o, '{');
}

void jo_object_end(struct json_out *o)
{
	put(o, '}');
}

void jo_array(struct json_out *o)
{
	comma(o);
	put(o, '[');
}

void jo_array_end(struct json_out *o)
{
	put(o, ']');
}

void jo_key(struct json_out *o, const char *key)
{
	size_t n = strlen(key);
	char *p;

	comma(o);
	p = room(o, n + 3);
	p[0] = '"';
	memcpy(p + 1, key, n);
	p[n + 1] = '"';
	p[n + 2] = ':';
	o->n += n + 3;
}

void jo_key_text(struct json_out *o, const char *key)
{
	jo_str(o, key);
	put(o, ':');
}

static void put_escaped(struct json_out *o, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	switch (c) {
	case '"':
		jo_raw(o, "\\\"", 2);
		break;
	case '\\':
		jo_raw(o, "\\\\", 2);
		break;
	case '\n':
		jo_raw(o, "\\n", 2);
		break;
	case '\r':
		jo_raw(o, "\\r", 2);
		break;
	case '\t':
		jo_raw(o, "\\t", 2);
		break;
	default:
		jo_raw(o, u, 6);
	}
}

void jo_str_n(struct json_out *o, const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t i = 0, from = 0;

	comma(o);
	put(o, '"');
	while (i < n) {
		size_t len = utf8_length(p + i, n - i);

		if (len > 1 || (len == 1 && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' && p[i] != 0x7f)) {
			i += len;
			continue;
		}
		jo_raw(o, s + from, i - from);
		if (len)
			put_escaped(o, p[i]);
		else
			jo_raw(o, "\xef\xbf\xbd", 3);
		from = ++i;
	}
	jo_raw(o, s + from, n - from);
	put(o, '"');
}

void jo_str(struct json_out *o, const char *s)
{
	if (s)
		jo_str_n(o, s, strlen(s));
	else
		jo_null(o);
}

void jo_strf(struct json_out *o, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	jo_str(o, text);
}

/* Decimal digits of v, right-aligned in a field that ends at `end`; returns where they begin. */
static char *digits(uint64_t v, char *end)
{
	do {
		*--end = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	return end;
}

void jo_u64(struct json_out *o, uint64_t v)
{
	char text[20], *p = digits(v, text + sizeof(text));

	comma(o);
	jo_raw(o, p, (size_t)(text + sizeof(text) - p));
}

void jo_i64(struct json_out *o, int64_t v)
{
	jo_fixed(o, v, 0);
}

void jo_fixed(struct json_out *o, int64_t v, unsigned decimals)
{
	uint64_t m = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, unit = 1;
	char text[20], *p;
	unsigned i;

	CHECK(decimals <= 18);
	for (i = 0; i < decimals; i++)
		unit *= 10;
	comma(o);
	if (v < 0)
		put(o, '-');
	p = digits(m / unit, text + sizeof(text));
	jo_raw(o, p, (size_t)(text + sizeof(text) - p));
	m %= unit;
	if (!m)
		return;
	put(o, '.');
	while (m) {
		unit /= 10;
		put(o, (char)('0' + m / unit));
		m %= unit;
	}
}

void jo_bool(struct json_out *o, bool v)
{
	comma(o);
	jo_raw(o, v ? "true" : "false", v ? 4 : 5);
}

void jo_null(struct json_out *o)
{
	comma(o);
	jo_raw(o, "null", 4);
}

void jo_seconds(struct json_out *o, uint64_t ns)
{
	jo_fixed(o, ns > INT64_MAX ? INT64_MAX : (int64_t)ns, 9);
}

static void two(char *p, uint32_t v)
{
	p[0] = (char)('0' + v / 10 % 10);
	p[1] = (char)('0' + v % 10);
}

/* Days since 1970 to a date and back: Howard Hinnant, "chrono-compatible low-level date algorithms" (2013), for dates after 1970. */
static void date_of_days(uint64_t days, uint32_t *y, uint32_t *m, uint32_t *d)
{
	uint64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*d = (uint32_t)(doy - (153 * mp + 2) / 5 + 1);
	*m = (uint32_t)(mp < 10 ? mp + 3 : mp - 9);
	*y = (uint32_t)(yoe + era * 400 + (*m <= 2));
}

static uint64_t days_of_date(uint32_t y, uint32_t m, uint32_t d)
{
	uint64_t yy = y - (m <= 2), era = yy / 400, yoe = yy - era * 400;
	uint64_t doy = (153u * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1,
	         doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * 146097 + doe - 719468;
}

void jo_time_text(uint64_t ns, char out[TIME_TEXT_BYTES])
{
	uint64_t s = ns / 1000000000u, left = ns % 1000000000u, of_day = s % 86400;
	uint32_t y, m, d;
	int i;

	date_of_days(s / 86400, &y, &m, &d);
	memcpy(out, "0000-00-00T00:00:00.000000000Z", TIME_TEXT_BYTES);
	two(out, y / 100);
	two(out + 2, y % 100);
	two(out + 5, m);
	two(out + 8, d);
	two(out + 11, (uint32_t)(of_day / 3600));
	two(out + 14, (uint32_t)(of_day / 60 % 60));
	two(out + 17, (uint32_t)(of_day % 60));
	for (i = 28; i > 19; i--, left /= 10)
		out[i] = (char)('0' + left % 10);
}

void jo_time(struct json_out *o, uint64_t ns)
{
	char text[TIME_TEXT_BYTES];

	jo_time_text(ns, text);
	comma(o);
	put(o, '"');
	jo_raw(o, text, TIME_TEXT_BYTES - 1);
	put(o, '"');
}

void jo_time_or_null(struct json_out *o, uint64_t ns)
{
	if (ns)
		jo_time(o, ns);
	else
		jo_null(o);
}

void jo_hex(struct json_out *o, const uint8_t *bytes, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	char *p;
	size_t i;

	comma(o);
	p = room(o, 2 * n + 2);
	*p++ = '"';
	for (i = 0; i < n; i++) {
		*p++ = hex[bytes[i] >> 4];
		*p++ = hex[bytes[i] & 15];
	}
	*p = '"';
	o->n += 2 * n + 2;
}

/* k decimal digits at *p, which moves on; < 0: they are not there. */
static int number(const char **p, int k, uint32_t *out)
{
	uint32_t v = 0;

	for (; k > 0; k--, (*p)++) {
		if (**p < '0' || **p > '9')
			return -1;
		v = v * 10 + (uint32_t)(**p - '0');
	}
	*out = v;
	return 0;
}

static int expect(const char **p, char c)
{
	if (**p != c && !(c == 'T' && (**p == 't' || **p == ' ')))
		return -1;
	(*p)++;
	return 0;
}

/* ".123" as nanoseconds. */
static int fraction(const char **p, uint64_t *out)
{
	uint64_t v = 0, unit = 100000000;

	*out = 0;
	if (**p != '.')
		return 0;
	(*p)++;
	if (**p < '0' || **p > '9')
		return -1;
	for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
		v += unit * (uint64_t)(**p - '0'); /* what comes after nanoseconds is worth 0 */
	*out = v;
	return 0;
}

/* "Z" or "+01:30", as seconds to subtract. */
static int zone(const char **p, int64_t *out)
{
	int sign = **p == '-' ? -1 : 1;
	uint32_t h, m;

	*out = 0;
	if (**p == 'Z' || **p == 'z') {
		(*p)++;
		return 0;
	}
	if (**p != '+' && **p != '-')
		return -1;
	(*p)++;
	if (number(p, 2, &h) < 0 || expect(p, ':') < 0 || number(p, 2, &m) < 0 || h > 23 || m > 59)
		return -1;
	*out = sign * (int64_t)(h * 3600 + m * 60);
	return 0;
}

static uint32_t month_days(uint32_t y, uint32_t m)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[m - 1] + (uint32_t)(m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
}

int jo_time_parse(const char *text, uint64_t *out_ns)
{
	const char *p = text;
	uint32_t y, mo, d, h, mi, s;
	uint64_t ns;
	int64_t off, secs;

	if (number(&p, 4, &y) < 0 || expect(&p, '-') < 0 || number(&p, 2, &mo) < 0 || expect(&p, '-') < 0 ||
	        number(&p, 2, &d) < 0 || expect(&p, 'T') < 0 || number(&p, 2, &h) < 0 ||
	        expect(&p, ':') < 0 || number(&p, 2, &mi) < 0 || expect(&p, ':') < 0 ||
	        number(&p, 2, &s) < 0 || fraction(&p, &ns) < 0 || zone(&p, &off) < 0 || *p)
		return -1;
	if (y < 1970 || y > 2261 || mo < 1 || mo > 12 || d < 1 || d > month_days(y, mo) || h > 23 ||
	        mi > 59 || s > 60)
		return -1;
	secs = (int64_t)(days_of_date(y, mo, d) * 86400 + h * 3600 + mi * 60 + s) - off;
	if (secs < 0)
		return -1;
	*out_ns = (uint64_t)secs * 1000000000u + ns;
	return 0;
}
