/* SPDX-License-Identifier: Apache-2.0 */
/* jobspec_scalar - numbers, units, times and names of a job file; no locale. See jobspec_read.h. Pure. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"
#include "core/params.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool parse_u64(const char **s, uint64_t *out)
{
	const char *p = *s;
	uint64_t v = 0;

	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	*s = p;
	*out = v;
	return true;
}

/* digits[.d[d[d]]] as thousandths. */
static bool parse_thousandths(const char **s, uint64_t *out)
{
	uint64_t whole, part = 0;

	if (!parse_u64(s, &whole) || __builtin_mul_overflow(whole, 1000u, &whole))
		return false;
	if (**s == '.') {
		uint64_t unit = 100;

		if (!is_digit((*s)[1]))
			return false;
		for (++*s; is_digit(**s); ++*s, unit /= 10) {
			if (unit == 0 && **s != '0')
				return false; /* finer than a thousandth */
			part += unit * (uint64_t)(**s - '0');
		}
	}
	return !__builtin_add_overflow(whole, part, out);
}

bool spec_parse_i64(const char *s, size_t n, int64_t *out)
{
	const char *p = s;
	bool minus = n && *p == '-';
	uint64_t v;

	p += minus;
	if (!parse_u64(&p, &v) || p != s + n || v > (uint64_t)INT64_MAX + minus)
		return false;
	*out = (int64_t)(minus ? 0 - v : v);
	return true;
}

bool spec_parse_milli(const char *s, uint64_t *out)
{
	uint64_t v;

	if (!parse_thousandths(&s, &v) || *s || v > AMOUNT_MILLI_MAX)
		return false;
	*out = v;
	return true;
}

static bool skip_spaces(const char **s)
{
	while (**s == ' ')
		++*s;
	return true;
}

bool spec_parse_bytes(const char *s, uint64_t *out)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} units[] = {
	        {"", 1},
	        {"B", 1},
	        {"KiB", 1u << 10},
	        {"MiB", 1u << 20},
	        {"GiB", 1u << 30},
	        {"TiB", UINT64_C(1) << 40},
	        {"kB", 1000},
	        {"KB", 1000},
	        {"MB", 1000000},
	        {"GB", 1000000000},
	        {"TB", UINT64_C(1000000000000)},
	};
	uint64_t v;

	if (!parse_thousandths(&s, &v))
		return false;
	(void)skip_spaces(&s);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(s, units[i].name) != 0)
			continue;
		if (units[i].bytes == 1 && v % 1000)
			return false; /* half a byte */
		if (v / 1000 > BYTES_MAX / units[i].bytes)
			return false;
		*out = v / 1000 * units[i].bytes + v % 1000 * units[i].bytes / 1000;
		return *out <= BYTES_MAX;
	}
	return false;
}

bool spec_parse_duration(const char *s, uint64_t *out_ns)
{
	static const struct {
		const char *name;
		uint64_t us;
	} units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60u * UINT64_C(1000000)},
	        {"h", 3600u * UINT64_C(1000000)}, {"d", 86400u * UINT64_C(1000000)}};
	uint64_t sum = 0, last = UINT64_MAX, v;

	if (*s == '\0')
		return false;
	do { /* "1h30m": units fall */
		size_t n = 0, i;

		if (!parse_thousandths(&s, &v))
			return false;
		while (is_letter(s[n]))
			n++;
		for (i = 0; i < ARRAY_LEN(units); i++)
			if (strlen(units[i].name) == n && memcmp(units[i].name, s, n) == 0)
				break;
		if (n == 0 && last == UINT64_MAX && *s == '\0')
			i = 2; /* a bare number: seconds */
		if (i == ARRAY_LEN(units) || units[i].us >= last || v > DURATION_NS_MAX / units[i].us)
			return false;
		last = units[i].us;
		sum += v * units[i].us; /* v is in thousandths, so this is in nanoseconds */
		s += n;
		if (sum > DURATION_NS_MAX)
			return false;
	} while (*s);
	*out_ns = sum;
	return true;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar (after Hinnant, chrono-compatible date
 * algorithms). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* n digits of s as a number in [min, max]. */
static bool fixed(const char **s, int n, int64_t min, int64_t max, int64_t *out)
{
	int64_t v = 0;

	for (int i = 0; i < n; i++) {
		if (!is_digit((*s)[i]))
			return false;
		v = v * 10 + ((*s)[i] - '0');
	}
	*s += n;
	*out = v;
	return v >= min && v <= max;
}

static bool expect(const char **s, char c)
{
	return **s == c && ++*s;
}

static bool parse_offset(const char **s, int64_t *out_s)
{
	int64_t h, m, sign;

	if (**s == 'Z' || **s == 'z') {
		++*s;
		*out_s = 0;
		return true;
	}
	if (**s != '+' && **s != '-')
		return false;
	sign = *(*s)++ == '-' ? -1 : 1;
	if (!fixed(s, 2, 0, 23, &h) || !expect(s, ':') || !fixed(s, 2, 0, 59, &m))
		return false;
	*out_s = sign * (h * 3600 + m * 60);
	return true;
}

/* RFC 3339, section 5.6. */
bool spec_parse_time(const char *s, uint64_t *out_ns)
{
	static const int8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t y, mo, d, h, mi, sec, off, t, ns = 0, unit = 100000000;
	bool leap;

	if (!fixed(&s, 4, 1970, 2199, &y) || !expect(&s, '-') || !fixed(&s, 2, 1, 12, &mo) ||
	        !expect(&s, '-') || !fixed(&s, 2, 1, 31, &d) ||
	        !(expect(&s, 'T') || expect(&s, 't') || expect(&s, ' ')) || !fixed(&s, 2, 0, 23, &h) ||
	        !expect(&s, ':') || !fixed(&s, 2, 0, 59, &mi) || !expect(&s, ':') ||
	        !fixed(&s, 2, 0, 60, &sec))
		return false;
	leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	if (d > month_days[mo - 1] + (mo == 2 && leap))
		return false;
	if (expect(&s, '.')) {
		if (!is_digit(*s))
			return false;
		for (; is_digit(*s); s++, unit /= 10)
			ns += unit * (*s - '0');
	}
	if (!parse_offset(&s, &off) || *s)
		return false;
	t = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - off;
	if (t < 0)
		return false;
	*out_ns = (uint64_t)t * 1000000000u + (uint64_t)ns;
	return true;
}

static bool word_ok(const char *s, const char *more, size_t max)
{
	size_t n = 1;

	if (!is_letter(s[0]) && !(s[0] == '_' && strchr(more, '_')))
		return false;
	for (; s[n]; n++)
		if (!is_letter(s[n]) && !is_digit(s[n]) && !strchr(more, s[n]))
			return false;
	return n <= max;
}

bool spec_name_ok(const char *s)
{
	return s[0] != '_' && word_ok(s, "._-", NAME_BYTES_MAX);
}

bool spec_identifier_ok(const char *s)
{
	return word_ok(s, "_", NAME_BYTES_MAX);
}

bool spec_label_key_ok(const char *s)
{
	return s[0] != '_' && word_ok(s, "._-/", NAME_BYTES_MAX);
}

bool spec_path_ok(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > PATH_BYTES_MAX || s[0] == '/' || s[n - 1] == '/')
		return false;
	while (*s) {
		const char *slash = strchr(s, '/');
		size_t k = slash ? (size_t)(slash - s) : strlen(s);

		if (k == 0 || (k == 1 && s[0] == '.') || (k == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		if (k > PART_BYTES_MAX &&
		        !memchr(s, '$', k)) /* what is put in may be shorter than its name */
			return false;
		s += k + (slash != NULL);
	}
	return true;
}

/* ---- texts, with the job's parameters put in ---- */

static const struct var *var_find(const struct build *b, const char *name, size_t n)
{
	for (size_t i = 0; i < b->n_vars; i++)
		if (b->vars[i].name_n == n && memcmp(b->vars[i].name, name, n) == 0)
			return &b->vars[i];
	return NULL;
}

/* Copy text to out (NULL: count only) with "${parameter}" replaced; all else, templates for tasks too,
 * stays as it is. */
static size_t subst(const struct build *b, const char *text, char *out)
{
	const char *at;
	size_t n = 0, at_n;
	enum template_piece kind;

	for (;;) {
		const char *start = text;
		const struct var *v = NULL;

		kind = template_next(&text, &at, &at_n);
		if (kind == TEMPLATE_END)
			return n;
		if (kind == TEMPLATE_UNCLOSED)
			text = start + strlen(start);
		if (kind == TEMPLATE_EMPTY)
			text = start + 3;
		if (kind == TEMPLATE_NAME)
			v = var_find(b, at, at_n);
		at = v ? v->value : start;
		at_n = v ? v->value_n : (size_t)(text - start);
		if (out)
			memcpy(out + n, at, at_n);
		n += at_n;
	}
}

/* The scalar's text, parameters put in. */
static bool scalar(struct build *b, const struct doc *v, const char **out, size_t *out_n)
{
	char *copy;
	size_t n;

	CHECK(v->kind == DOC_SCALAR);
	*out = v->text;
	*out_n = v->text_bytes;
	if (b->n_vars == 0 || !strstr(v->text, "${"))
		return true;
	n = subst(b, v->text, NULL);
	b->subst_bytes += n;
	if (b->subst_bytes > SUBST_BYTES_MAX) {
		spec_problem_value(b, v, "a job of at most %u MiB once its parameters are put in",
		        SUBST_BYTES_MAX >> 20);
		return false;
	}
	copy = spec_take(b, n + 1, 1);
	if (!copy)
		return false;
	(void)subst(b, v->text, copy);
	*out = copy;
	*out_n = n;
	return true;
}

bool spec_read_text(struct build *b, const struct doc *v, size_t bytes_max, const char **out)
{
	const char *s;
	size_t n;

	if (v->kind != DOC_SCALAR) {
		spec_problem_value(b, v, "text");
		return false;
	}
	if (!scalar(b, v, &s, &n))
		return false;
	if (memchr(s, '\0', n)) {
		spec_problem_value(b, v, "text without NUL bytes");
		return false;
	}
	if (n > bytes_max) {
		spec_problem_value(b, v, "text of at most %zu bytes", bytes_max);
		return false;
	}
	*out = s;
	return true;
}

bool spec_read_template(struct build *b, const struct doc *v, size_t bytes_max, const char **out)
{
	struct template_use *use;

	if (!spec_read_text(b, v, bytes_max, out))
		return false;
	if (!template_varies(*out) || !b->current)
		return true;
	use = spec_take(b, 1, sizeof(*use));
	if (!use)
		return false;
	*use = (struct template_use){
	        .next = b->current->templates, .text = *out, .at = v, .of_process = b->of_process};
	b->current->templates = use;
	return true;
}

bool spec_read_name(struct build *b, const struct doc *v, const char **out)
{
	const char *s;

	if (v->kind != DOC_SCALAR || !spec_read_text(b, v, TEXT_BYTES_MAX, &s) || !spec_name_ok(s)) {
		spec_problem_value(b, v,
		        "a name: a letter, then letters, digits, '.', '_' or '-', at most %d",
		        NAME_BYTES_MAX);
		return false;
	}
	*out = s;
	return true;
}

bool spec_read_path(struct build *b, const struct doc *v, const char **out)
{
	const char *s;

	if (v->kind != DOC_SCALAR || !spec_read_template(b, v, TEXT_BYTES_MAX, &s) || !spec_path_ok(s)) {
		spec_problem_value(b, v, "a relative path that stays in the task's folder");
		return false;
	}
	*out = s;
	return true;
}

/* Text of an unquoted scalar for a number or word, NULL otherwise. */
static const char *plain(struct build *b, const struct doc *v, bool may_be_quoted)
{
	const char *s;
	size_t n;

	if (v->kind != DOC_SCALAR || (v->quoted && !may_be_quoted) || !scalar(b, v, &s, &n) || strlen(s) != n)
		return NULL;
	return s;
}

bool spec_read_bool(struct build *b, const struct doc *v, bool *out)
{
	const char *s = plain(b, v, false);

	if (!s || (strcmp(s, "true") != 0 && strcmp(s, "false") != 0)) {
		spec_problem_value(b, v, "true or false");
		return false;
	}
	*out = s[0] == 't';
	return true;
}

bool spec_read_u64(struct build *b, const struct doc *v, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *s = plain(b, v, false);
	uint64_t n = 0;

	if (!s || !parse_u64(&s, &n) || *s || n < min || n > max) {
		spec_problem_value(b, v, "a whole number from %llu to %llu", (unsigned long long)min,
		        (unsigned long long)max);
		return false;
	}
	*out = n;
	return true;
}

bool spec_read_u32(struct build *b, const struct doc *v, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t n;

	if (!spec_read_u64(b, v, min, max, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

bool spec_read_milli(struct build *b, const struct doc *v, uint64_t *out)
{
	const char *s = plain(b, v, false);

	if (!s || !spec_parse_milli(s, out)) {
		spec_problem_value(b, v, "a number such as 2 or 0.25, with at most three decimals");
		return false;
	}
	return true;
}

bool spec_read_bytes(struct build *b, const struct doc *v, uint64_t *out)
{
	const char *s = plain(b, v, true);

	if (!s || !spec_parse_bytes(s, out)) {
		spec_problem_value(b, v,
		        "a size such as 512MiB, 2GB or a number of bytes (units: B, kB, MB, GB, TB, KiB, "
		        "MiB, "
		        "GiB, TiB)");
		return false;
	}
	return true;
}

bool spec_read_duration(struct build *b, const struct doc *v, uint64_t *out_ns)
{
	const char *s = plain(b, v, true);

	if (!s || !spec_parse_duration(s, out_ns)) {
		spec_problem_value(b, v, "a time span such as 100ms, 5s, 3m, 1h30m or 2d, at most 100 years");
		return false;
	}
	return true;
}

bool spec_read_time(struct build *b, const struct doc *v, uint64_t *out_ns)
{
	const char *s = plain(b, v, true);

	if (!s || !spec_parse_time(s, out_ns)) {
		spec_problem_value(b, v, "a time such as 2026-11-21T18:00:00Z or 2026-11-21T18:00:00+01:00");
		return false;
	}
	return true;
}

bool spec_read_percent(struct build *b, const struct doc *v, uint32_t *out)
{
	const char *s = plain(b, v, true);
	uint64_t n = 0;

	if (!s || !parse_u64(&s, &n) || (*s && strcmp(s, "%") != 0) || n > 100) {
		spec_problem_value(b, v, "a percentage from 0 to 100");
		return false;
	}
	*out = (uint32_t)n;
	return true;
}

bool spec_read_signal(struct build *b, const struct doc *v, uint32_t *out)
{
	/* Numbers of Linux on x86 and arm. KILL and STOP cannot be caught, so they can checkpoint nothing. */
	static const struct {
		const char *name;
		uint32_t number;
	} signals[] = {{"HUP", 1}, {"INT", 2}, {"QUIT", 3}, {"USR1", 10}, {"USR2", 12}, {"ALRM", 14},
	        {"TERM", 15}, {"CONT", 18}, {"TSTP", 20}, {"WINCH", 28}};
	const char *s = plain(b, v, true);

	if (s && strncmp(s, "SIG", 3) == 0)
		s += 3;
	for (size_t i = 0; s && i < ARRAY_LEN(signals); i++)
		if (strcmp(s, signals[i].name) == 0) {
			*out = signals[i].number;
			return true;
		}
	spec_problem_value(b, v, "one of HUP, INT, QUIT, USR1, USR2, ALRM, TERM, CONT, TSTP, WINCH");
	return false;
}

bool spec_read_choice(struct build *b, const struct doc *v, const char *const *words, size_t n, size_t *out)
{
	const char *s = plain(b, v, true), *near = NULL;
	char list[120];
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		if (s && strcmp(s, words[i]) == 0) {
			*out = i;
			return true;
		}
		if (s && spec_is_near(s, words[i]))
			near = words[i];
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
			        i == 0      ? ""
			        : i + 1 < n ? ", "
			                    : " or ",
			        words[i]);
	}
	spec_problem_value(
	        b, v, "%s%s%s%s", list, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return false;
}

#define EDIT_MAX 32

unsigned spec_edit_distance(const char *a, const char *b)
{
	unsigned row[3][EDIT_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > EDIT_MAX || nb > EDIT_MAX)
		return 99;
	for (unsigned j = 0; j <= nb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = up[j - 1] + (a[i - 1] != b[j - 1]);

			best = up[j] + 1 < best ? up[j] + 1 : best;
			best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			        up2[j - 2] + 1 < best)
				best = up2[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[na % 3][nb];
}

bool spec_is_near(const char *typed, const char *word)
{
	size_t n = strlen(word), k = strlen(typed);
	unsigned d = spec_edit_distance(typed, word);

	if (k >= 3 && k < n && memcmp(typed, word, k) == 0)
		return true; /* "mem" */
	return d <= (n <= 3 ? 1u : n <= 7 ? 2u : 3u) && d < n && d < k;
}
