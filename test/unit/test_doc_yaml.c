/* SPDX-License-Identifier: Apache-2.0 */
/* test_doc_yaml - facts about YAML that is read, and about malformed and hostile YAML and JSON that is refused. */
#include "jobspec_help.h"

#include <time.h>

static const struct doc *parse(const char *text)
{
	const struct doc *root = NULL;

	growing_clear(&mem);
	if (doc_yaml_parse(&mem.arena, text, strlen(text), &root, problems) < 0)
		fail_msg("found %s", problems[0].found);
	return root;
}

static const char *refused_n(const char *text, size_t n)
{
	const struct doc *root = NULL;

	growing_clear(&mem);
	assert_int_equal(doc_yaml_parse(&mem.arena, text, n, &root, problems), -1);
	(void)jobspec_problem_text(&problems[0], "j", complaint, sizeof(complaint));
	return complaint;
}

static const char *refused(const char *text)
{
	return refused_n(text, strlen(text));
}

static void nodes_know_where_they_stood(void **state)
{
	const struct doc *root = parse("a: 1\nb:\n  - x\n  - {c: \"5\", \xc3\xa4: z}\n"),
	                 *b = root->child->next;

	(void)state;
	assert_int_equal(root->kind, DOC_MAP);
	assert_string_equal(root->child->key, "a");
	assert_string_equal(root->child->text, "1");
	assert_false(root->child->quoted);
	assert_int_equal(root->child->line, 1);
	assert_int_equal(root->child->column, 4);
	assert_int_equal(b->kind, DOC_LIST);
	assert_int_equal(b->key_line, 2);
	assert_int_equal(b->child->next->child->line, 4);
	assert_int_equal(b->child->next->child->key_column, 6);
	assert_true(b->child->next->child->quoted);
	assert_int_equal(b->child->next->child->next->key_column, 14); /* in characters */
	assert_int_equal(b->child->next->child->next->column, 17);
}

static void nothing_is_null_and_quotes_make_text(void **state)
{
	const struct doc *d = parse("[~, null, '', 'null', yes]")->child;

	(void)state;
	assert_int_equal(d->kind, DOC_NULL);
	assert_int_equal(d->next->kind, DOC_NULL);
	assert_int_equal(d->next->next->kind, DOC_SCALAR);
	assert_string_equal(d->next->next->next->text, "null");
	assert_string_equal(d->next->next->next->next->text, "yes");
}

static void broken_yaml_is_told_with_its_place(void **state)
{
	(void)state;
	assert_string_equal(refused("a: [1, 2"),
	        "j:2:1: found broken YAML: did not find expected ',' or ']' while parsing a "
	        "flow sequence from line 1, expected valid YAML");
	assert_string_equal(refused("a: 1\n b: 2\n"), "j:2:3: found broken YAML: mapping values are not "
	                                              "allowed in this context, expected valid YAML");
	assert_string_equal(refused("\ta: 1"),
	        "j:1:1: found broken YAML: found character that cannot start any token while "
	        "scanning for the next token from line 1, expected valid YAML");
	assert_string_equal(refused("a: 1\nb: [echo, ${i}]\n"),
	        "j:2:12: found broken YAML: did not find expected ',' or ']' while parsing a flow sequence "
	        "from "
	        "line 2, expected valid YAML; in [] and {} a text with ${...} needs quotes");
	assert_string_equal(refused(""),
	        "j:1:1: found an empty file, expected a job: a map with at least 'command' or 'steps'");
	assert_string_equal(refused("# only a comment\n"),
	        "j:1:1: found an empty file, expected a job: a map with at least 'command' or 'steps'");
}

static void alias_tag_and_second_document_are_refused(void **state)
{
	(void)state;
	assert_string_equal(refused("a: &x 1\nb: *x\n"),
	        "j:2:4: found an alias, expected the value itself: job files have no aliases");
	assert_string_equal(refused("a: 1\n*x : 2\n"), "j:2:1: found an alias, expected text as a key");
	assert_string_equal(
	        refused("a: !!binary aGk=\n"), "j:1:4: found a tag, expected a value without a tag");
	assert_string_equal(refused("a: 1\n---\nb: 2\n"),
	        "j:2:1: found a second document, expected one document in a file");
	assert_string_equal(refused("a: 1\n...\n%"),
	        "j:3:2: found broken YAML: could not find expected directive name while "
	        "scanning a directive from line 3, expected valid YAML");
	assert_string_equal(refused("? [a]\n: 1\n"), "j:1:3: found a list or map, expected text as a key");
}

static void key_that_comes_twice_is_refused(void **state)
{
	char text[4000];
	size_t n = 0;

	(void)state;
	assert_string_equal(
	        refused("a: 1\nb: 2\na: 3\n"), "j:3:1: found the key 'a' again, expected each key once");
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "k%d: 1\n", i);
	(void)snprintf(text + n, sizeof(text) - n, "k7: 1\n");
	assert_string_equal(refused(text), "j:101:1: found the key 'k7' again, expected each key once");
}

static void nul_and_bad_utf8_are_refused_with_their_place(void **state)
{
	static const char *const bad[] = {"\x80", "\xc0\xaf", "\xc3(", "\xe0\x80\xaf", "\xed\xa0\x80",
	        "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe2\x82"};
	char text[40];

	(void)state;
	assert_string_equal(
	        refused_n("a: 1\nb: \0x\n", 10), "j:2:4: found a NUL byte, expected text in UTF-8");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "a: 1\nb: \xc3\xa4%s\n", bad[i]);
		assert_non_null(strstr(refused(text), "j:2:5: found the byte 0x"));
	}
	assert_non_null(strstr(refused("a: \x01\n"), "control characters are not allowed"));
	assert_string_equal(parse("a: \xf0\x9f\x8c\xbf")->child->text, "\xf0\x9f\x8c\xbf");
	/* "\0" in quotes is a NUL that the reader of the job refuses */
	assert_string_equal(
	        wrong("command: \"a\\0b\""), "job.yaml:1:10: found 'a', expected text without NUL bytes");
	assert_string_equal(
	        refused("\"a\\0b\": 1"), "j:1:1: found a NUL character, expected a key without NUL");
}

/* Refused within a second of processor time, whatever it is. */
static void refused_soon(const char *text, size_t n, const char *what)
{
	clock_t start = clock();

	if (!strstr(refused_n(text, n), what))
		fail_msg("told '%s', not '%s'", complaint, what);
	assert_true(clock() - start < CLOCKS_PER_SEC);
}

static void bomb_dies_at_once(void **state)
{
	static char big[(1 << 20) + 1];
	const char laughs[] = "a: &a [x,x,x,x,x,x,x,x,x]\n"
	                      "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
	                      "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";

	(void)state;
	refused_soon(laughs, sizeof(laughs) - 1, "j:2:8: found an alias");
	memset(big, '[', sizeof(big));
	refused_soon(big, 1 << 20, "found too deep a nesting, expected lists and maps at most 64 deep");
	refused_soon(big, sizeof(big), "found 1048577 bytes of text, expected at most 1 MiB");
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = "- "[i % 2];
	refused_soon(big, 1 << 20, "found too deep a nesting");
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = ",x"[i % 2];
	big[0] = '[';
	refused_soon(big, 1 << 20, "found too many of them, expected at most 200000 keys and values");
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = "-\n"[i % 2];
	refused_soon(big, 1 << 20, "found too many of them");
	memset(big, '{', sizeof(big));
	refused_soon(big, 1 << 20, "found a list or map, expected text as a key");
	memset(big, '&', sizeof(big));
	refused_soon(big, 1 << 20, "found broken YAML");
	memset(big, '?', sizeof(big));
	for (size_t i = 1; i < sizeof(big); i += 2)
		big[i] = ' ';
	refused_soon(big, 1 << 20, "found a list or map, expected text as a key");
}

static const char *json_refused(const char *text)
{
	const struct doc *root;
	json_t *json = doc_json_load(text, strlen(text), DOC_BYTES_MAX, problems);

	growing_clear(&mem);
	if (json)
		assert_int_equal(doc_json_from(&mem.arena, json, &root, problems), -1);
	json_decref(json);
	(void)jobspec_problem_text(&problems[0], "j", complaint, sizeof(complaint));
	return complaint;
}

static void broken_json_is_told_with_its_place(void **state)
{
	static char deep[1 << 20];

	(void)state;
	assert_string_equal(json_refused("{\"a\": 1,\n \"b\": }"),
	        "j:2:7: found broken JSON: unexpected token near '}', expected valid JSON");
	assert_non_null(strstr(json_refused("{\"a\": 1, \"a\": 2}"),
	        "found broken JSON: duplicate object key near '\"a\"'"));
	assert_non_null(strstr(json_refused("[\"\\u0000\"]"), "\\u0000 is not allowed"));
	assert_string_equal(json_refused("[\"\xff\"]"), "j:1:3: found the byte 0xff, expected text in UTF-8");
	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	assert_string_equal(
	        json_refused(deep), "j: found too deep a nesting, expected lists and maps at most 64 deep");
	memset(deep, '[', sizeof(deep) - 1);
	assert_non_null(strstr(json_refused(deep), "maximum parsing depth reached"));
	for (size_t i = 0; i < sizeof(deep) - 1; i++)
		deep[i] = ",1"[i % 2];
	deep[0] = '[';
	deep[sizeof(deep) - 2] = ']';
	assert_string_equal(
	        json_refused(deep), "j: found too many of them, expected at most 200000 keys and values");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nodes_know_where_they_stood),
	        cmocka_unit_test(nothing_is_null_and_quotes_make_text),
	        cmocka_unit_test(broken_yaml_is_told_with_its_place),
	        cmocka_unit_test(alias_tag_and_second_document_are_refused),
	        cmocka_unit_test(key_that_comes_twice_is_refused),
	        cmocka_unit_test(nul_and_bad_utf8_are_refused_with_their_place),
	        cmocka_unit_test(bomb_dies_at_once),
	        cmocka_unit_test(broken_json_is_told_with_its_place),
	};

	return cmocka_run_group_tests(tests, mem_setup, mem_teardown);
}
