/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy - facts about whom a verifier trusts: groups of groups, quorums, and policies that say nothing clear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy.h"
#include "io/ed25519.h"

#define LOG "example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define W2  "example.com/elastic/node-2+0c805605+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"
#define W3  "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
#define W4  "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv"

static struct policy policy; /* too large for a stack */

static int parse(const char *text, struct err *e)
{
	return policy_parse(text, strlen(text), &policy, e);
}

static bool met(const char *who)
{
	bool has[POLICY_ITEMS_MAX] = {0};

	for (unsigned i = 0; i < policy.members; i++)
		has[i] = !policy.member[i].group && strstr(who, policy.member[i].name);
	return policy_met(&policy, has);
}

static void quorums_count_witnesses_and_groups(void **state)
{
	(void)state;
	assert_int_equal(parse("# ours\nlog " LOG " https://log.example\n\nwitness a " W2 "\nwitness b " W3
	                       " https://w.example\nwitness c " W4 "\ngroup two 2 a b c\nquorum two\n",
	                         NULL),
	        0);
	assert_string_equal(policy.log[0].url, "https://log.example");
	assert_false(met(""));
	assert_false(met("a"));
	assert_true(met("ac"));
	assert_true(met("abc"));
	assert_int_equal(parse("log " LOG "\nwitness a " W2 "\nwitness b " W3 "\nwitness c " W4
	                       "\ngroup ours any a b\ngroup both all ours c\nquorum both",
	                         NULL),
	        0);
	assert_false(met("ab"));
	assert_false(met("c"));
	assert_true(met("bc"));
	assert_int_equal(parse("witness a " W2 "\nlog " LOG "\nquorum a", NULL), 0);
	assert_true(met("a"));
	assert_false(met(""));
	assert_int_equal(parse("log " LOG "\nquorum none", NULL), 0);
	assert_true(met(""));
}

static void unclear_policies_are_refused_by_line(void **state)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {{"", "trusts no log"}, {"log " LOG, "no quorum"}, {"quorum none", "trusts no log"},
	        {"log " LOG "\nquorum a", "line 2"}, {"log " LOG "\nquorum none\nquorum none", "line 3"},
	        {"log " LOG "\nlog " LOG "\nquorum none", "there already"},
	        {"log " W2 "\nquorum none", "type 1"}, {"log " LOG "\nwitness a " LOG, "type 4"},
	        {"log " LOG "\nwitness a " W2 "\nwitness a " W3, "taken"},
	        {"log " LOG "\nwitness a " W2 "\nwitness b " W2, "there already"},
	        {"log " LOG "\nwitness none " W2, "cannot be used"}, {"log " LOG "\nwitness a", "it must be"},
	        {"log", "it must be"}, {"log nonsense", "NAME+ID+KEY"}, {"log " LOG " ftp://x", "URL"},
	        {"log " LOG " https://x more", "after the URL"}, {"log " LOG "\ngroup g 1 a", "not defined"},
	        {"witness a " W2 "\ngroup g 2 a", "number of its members"},
	        {"witness a " W2 "\ngroup g 0 a", "number of its members"},
	        {"witness a " W2 "\ngroup g most a", "number of its members"},
	        {"witness a " W2 "\ngroup g all a a", "in a group already"},
	        {"witness a " W2 "\ngroup g all a\ngroup h all a", "in a group already"},
	        {"witness a " W2 "\ngroup g all g", "not defined"}, {"group g all", "it must be"},
	        {"quorum", "it must be"}, {"trust me", "begins with"}};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err e = {0};

		assert_int_equal(parse(wrong[i].text, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
		if (!strstr(e.msg, wrong[i].says))
			fail_msg("'%s' says '%s'", wrong[i].text, e.msg);
	}
}

static void printed_members_are_read_again(void **state)
{
	char text[4096], again[8192];
	size_t n;

	(void)state;
	assert_int_equal(
	        parse("log " LOG "\nwitness a " W2 " http://x/\nwitness b " W3 "\ngroup g any a b\nquorum g",
	                NULL),
	        0);
	n = policy_print_members(&policy, NULL, 0);
	assert_true(n < sizeof(text) - 1);
	assert_int_equal(policy_print_members(&policy, text, sizeof(text)), n);
	text[n] = '\0';
	assert_string_equal(text, "witness a " W2 "\nwitness b " W3 "\ngroup g 1 a b\nquorum g\n");
	(void)snprintf(again, sizeof(again), "log %s\n%s", LOG, text);
	assert_int_equal(parse(again, NULL), 0);
	assert_int_equal(policy.quorum, 2);
	assert_int_equal(policy.member[2].needed, 1);
	assert_int_equal(parse("log " LOG "\nquorum none", NULL), 0);
	assert_int_equal(policy_print_members(&policy, text, sizeof(text)), strlen("quorum none\n"));
}

static size_t golden(char *out, size_t max)
{
	FILE *f = fopen(OSIER_SOURCE_ROOT "/test/data/ledger/golden_checkpoint_8.txt", "rb");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, max, f);
	(void)fclose(f);
	return n;
}

static void checkpoints_are_held_against_the_policy(void **state)
{
	struct note_verifier v = ed25519_verifier();
	struct policy_result r;
	struct checkpoint c;
	struct note note;
	char bytes[2048] = "", *sig;
	size_t n = golden(bytes, sizeof(bytes) - 1);
	struct err e;

	(void)state;
	assert_int_equal(note_parse(bytes, n, &note, NULL), 0);
	assert_int_equal(parse("log " LOG "\nwitness a " W2 "\nquorum a", NULL), 0);
	assert_int_equal(policy_check(&policy, &note, &v, &c, &r, NULL), 0);
	assert_true(r.met && r.witnesses == 1 && r.first_s == 1700000000 && r.last_s == 1700000000);
	assert_ptr_equal(r.log, &policy.log[0]);
	assert_int_equal(
	        parse("log " LOG "\nwitness a " W2 "\nwitness b " W3 "\ngroup g all a b\nquorum g", NULL), 0);
	assert_int_equal(policy_check(&policy, &note, &v, &c, &r, NULL), 0);
	assert_true(!r.met && r.witnesses == 1);
	assert_int_equal(
	        parse("log sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8\nquorum none",
	                NULL),
	        0);
	assert_int_equal(policy_check(&policy, &note, &v, &c, &r, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	/* A cosignature of a trusted witness that does not verify is no missing one. */
	assert_int_equal(parse("log " LOG "\nwitness a " W2 "\nquorum none", NULL), 0);
	sig = strstr(bytes, "node-2 ") + 7 + 40;
	*sig = *sig == 'A' ? 'B' : 'A';
	assert_int_equal(note_parse(bytes, n, &note, NULL), 0);
	assert_int_equal(policy_check(&policy, &note, &v, &c, &r, &e), -1);
	assert_non_null(strstr(e.msg, "cosignature"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(quorums_count_witnesses_and_groups),
	        cmocka_unit_test(unclear_policies_are_refused_by_line),
	        cmocka_unit_test(printed_members_are_read_again),
	        cmocka_unit_test(checkpoints_are_held_against_the_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
