/* SPDX-License-Identifier: Apache-2.0 */
/* json - reading and printing JSON for the commands: see cli.h. Doubles are for show only. */
#include "cli/cli.h"

void json_print(const json_t *j)
{
	if (term_is_tty(stdout)) {
		(void)json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
		(void)putchar('\n');
		return;
	}
	json_print_line(j);
}

void json_print_line(const json_t *j)
{
	(void)json_dumpf(j, stdout, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	(void)putchar('\n');
	(void)fflush(stdout);
}

json_t *j_get(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return json_is_null(v) ? NULL : v;
}

bool j_null(const json_t *o, const char *key)
{
	return !j_get(o, key);
}

const char *j_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

uint64_t j_uint(const json_t *o, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v < 0 ? 0 : (uint64_t)v;
}

bool j_bool(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

double j_real(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static uint64_t scaled(double v, double by)
{
	v *= by;
	return v <= 0 ? 0 : v >= 9.2e18 ? INT64_MAX : (uint64_t)(v + 0.5);
}

uint64_t j_ns(const json_t *o, const char *key)
{
	return scaled(j_real(o, key), 1e9);
}

uint64_t j_milli(const json_t *o, const char *key)
{
	return scaled(j_real(o, key), 1e3);
}

uint64_t j_time(const json_t *o, const char *key)
{
	const char *s = j_str(o, key);

	return *s ? time_parse(s) : 0;
}

void amount_text(struct text *t, const char *resource, double amount)
{
	char s[32];

	if (strcmp(resource, "memory") == 0 || strcmp(resource, "disk") == 0)
		text_add(t, size_text(scaled(amount, 1), s, sizeof(s)));
	else
		text_add(t, milli_text(scaled(amount, 1e3), s, sizeof(s)));
}

void needs_text(struct text *t, const json_t *needs)
{
	const char *name, *comma = "";
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)needs, name, v)
	{
		text_addf(t, "%s%s ", comma, name);
		amount_text(t, name, json_number_value(v));
		comma = ", ";
	}
}
