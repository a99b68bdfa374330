/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about which key speaks for a node, and from which place in its log on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/keyset.h"

enum {
	LOG = WIRE__KEY_SET__ROLE__LOG,
	NODE = WIRE__KEY_SET__ROLE__NODE,
	ANCHOR = WIRE__KEY_SET__ROLE__ANCHOR
};
enum {
	ADDED = WIRE__KEY_SET__STATE__ADDED,
	RETIRED = WIRE__KEY_SET__STATE__RETIRED,
	REVOKED = WIRE__KEY_SET__STATE__REVOKED
};

static struct keyset s;

static void says(uint64_t entry, int role, int state, const char *vkey)
{
	keyset_fold(&s, entry, (Wire__KeySet__Role)role, (Wire__KeySet__State)state, vkey, "so it is");
}

static int fresh(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	return 0;
}

static void every_log_key_that_is_not_revoked_signs_oldest_first(void **state)
{
	const struct keyset_key *may[KEYSET_SIGNERS];

	(void)state;
	assert_int_equal(keyset_signers(&s, may), 0);
	says(3, LOG, ADDED, "log+00000001+a");
	says(4, NODE, ADDED, "log/node+00000002+b");
	says(9, LOG, ADDED, "log+00000003+c");
	assert_int_equal(keyset_signers(&s, may), 2);
	assert_string_equal(may[0]->vkey, "log+00000001+a");
	assert_string_equal(may[1]->vkey, "log+00000003+c");
	says(12, LOG, REVOKED, "log+00000001+a");
	assert_int_equal(keyset_signers(&s, may), 1);
	assert_string_equal(may[0]->vkey, "log+00000003+c");
	assert_int_equal(may[0]->since, 9);
	assert_true(may[0]->until == KEYSET_FOREVER);
}

static void of_a_nodes_keys_the_last_speaks_whatever_order_a_kill_left(void **state)
{
	(void)state;
	assert_null(keyset_node(&s));
	says(3, NODE, ADDED, "n+00000001+a");
	says(7, NODE, ADDED, "n+00000002+b"); /* killed here: the first was not retired */
	assert_string_equal(keyset_node(&s)->vkey, "n+00000002+b");
	says(8, NODE, RETIRED, "n+00000001+a");
	assert_string_equal(keyset_node(&s)->vkey, "n+00000002+b");
	says(9, NODE, REVOKED, "n+00000002+b");
	assert_null(keyset_node(&s));
}

static void revoked_key_never_speaks_again(void **state)
{
	const struct keyset_key *may[KEYSET_SIGNERS];

	(void)state;
	says(1, LOG, ADDED, "l+00000001+a");
	says(2, LOG, REVOKED, "l+00000001+a");
	says(3, LOG, ADDED, "l+00000001+a");
	says(4, LOG, RETIRED, "l+00000001+a");
	assert_int_equal(keyset_signers(&s, may), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.key[0].until, 2);
	assert_int_equal(s.key[0].state, REVOKED);
	says(5, LOG, REVOKED, "l+0000000f+never added");
	assert_int_equal(s.n, 1);
}

static void receipt_counts_when_it_stands_before_the_revocation(void **state)
{
	struct err e = {0};

	(void)state;
	says(5, NODE, ADDED, "n+00000001+a");
	assert_int_equal(keyset_check(&s, "n+00000001+a", 100, &e), 0);
	says(20, NODE, RETIRED, "n+00000001+a");
	assert_int_equal(
	        keyset_check(&s, "n+00000001+a", 21, &e), 0); /* signed while the new key was being told */
	says(30, NODE, REVOKED, "n+00000001+a");
	assert_int_equal(keyset_check(&s, "n+00000001+a", 29, &e), 0);
	assert_int_equal(keyset_check(&s, "n+00000001+a", 31, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "revoked in entry 30, before the receipt in entry 31: so it is"));
	assert_int_equal(keyset_check(&s, "n+00000009+z", 6, &e), -1);
	assert_non_null(strstr(e.msg, "none that its log knows"));
}

static void key_is_named_by_all_of_it_or_its_id(void **state)
{
	const struct keyset_key *k = NULL;
	struct err e = {0};

	(void)state;
	says(1, LOG, ADDED, "l+0000abcd+a+b");
	says(2, NODE, ADDED, "n+0000abce+a");
	says(3, WIRE__KEY_SET__ROLE__WITNESS, ADDED, "w+0000abcf+a");
	assert_int_equal(keyset_named(&s, "0000abcd", &k, &e), 0);
	assert_int_equal(k->since, 1);
	assert_int_equal(keyset_named(&s, "n+0000abce+a", &k, &e), 0);
	assert_int_equal(k->since, 2);
	assert_int_equal(keyset_named(&s, "0000abcf", &k, &e), -1); /* a witness's is not ours to revoke */
	assert_int_equal(keyset_named(&s, "0000abc", &k, &e), -1);
	assert_int_equal(keyset_named(&s, "", &k, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	says(4, LOG, ADDED, "l+0000abcd+c");
	assert_int_equal(keyset_named(&s, "0000abcd", &k, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
}

static void last_key_cannot_be_revoked(void **state)
{
	struct err e = {0};

	(void)state;
	says(1, LOG, ADDED, "l+00000001+a");
	says(2, NODE, ADDED, "n+00000002+a");
	assert_int_equal(keyset_may_revoke(&s, &s.key[0], &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_int_equal(keyset_may_revoke(&s, &s.key[1], &e), -1);
	says(3, LOG, ADDED, "l+00000003+a");
	says(4, NODE, ADDED, "n+00000004+a");
	assert_int_equal(keyset_may_revoke(&s, &s.key[0], &e), 0);
	assert_int_equal(keyset_may_revoke(&s, &s.key[1], &e), 0);
	assert_int_equal(keyset_may_revoke(&s, &s.key[3], &e), -1); /* it signs what is run now */
	says(5, LOG, REVOKED, "l+00000001+a");
	assert_int_equal(keyset_may_revoke(&s, &s.key[0], &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(keyset_may_revoke(&s, &s.key[2], &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
}

static void hostile_entries_change_nothing(void **state)
{
	char *vkey = malloc(5000);

	(void)state;
	memset(vkey, 'x', 4999);
	vkey[4999] = '\0';
	says(1, LOG, ADDED, vkey);
	assert_int_equal(s.n, 0);
	for (unsigned i = 0; i < KEYSET_MAX + 10; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "l+%08x+a", i);
		says(i, LOG, ADDED, name);
	}
	assert_int_equal(s.n, KEYSET_MAX);
	keyset_fold(&s, 500, WIRE__KEY_SET__ROLE__LOG, WIRE__KEY_SET__STATE__REVOKED, "l+00000000+a", vkey);
	assert_int_equal(strlen(s.key[0].reason), KEYSET_REASON);
	free(vkey);
}

static void account_anchors_heads_from_before_its_end(void **state)
{
	const struct keyset_key *k;
	struct err e;

	(void)state;
	assert_null(keyset_anchor(&s));
	says(5, ANCHOR, ADDED, "0xOld");
	says(20, ANCHOR, ADDED, "0xNew");
	says(21, ANCHOR, RETIRED, "0xOld");
	assert_string_equal(keyset_anchor(&s)->vkey, "0xNew");
	assert_int_equal(keyset_check_anchor(&s, "0xOld", 21, &e), 0);
	assert_int_equal(keyset_check_anchor(&s, "0xOld", 22, &e), -1); /* that head holds entry 21 */
	assert_non_null(strstr(e.msg, "since entry 21"));
	assert_int_equal(keyset_check_anchor(&s, "0xNew", 1000, &e), 0);
	assert_int_equal(keyset_check_anchor(&s, "0xOther", 1, &e), -1);
	assert_int_equal(keyset_named(&s, "0xNew", &k, &e), 0);
	assert_int_equal(keyset_may_revoke(&s, k, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_int_equal(keyset_named(&s, "0xOld", &k, &e), 0);
	assert_int_equal(keyset_may_revoke(&s, k, &e), 0);
	says(30, ANCHOR, REVOKED, "0xOld");
	assert_int_equal(keyset_check_anchor(&s, "0xOld", 21, &e), 0);
	assert_int_equal(
	        keyset_check_anchor(&s, "0xOld", 25, &e), -1); /* it was over before it was revoked */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(every_log_key_that_is_not_revoked_signs_oldest_first, fresh),
	        cmocka_unit_test_setup(of_a_nodes_keys_the_last_speaks_whatever_order_a_kill_left, fresh),
	        cmocka_unit_test_setup(revoked_key_never_speaks_again, fresh),
	        cmocka_unit_test_setup(receipt_counts_when_it_stands_before_the_revocation, fresh),
	        cmocka_unit_test_setup(key_is_named_by_all_of_it_or_its_id, fresh),
	        cmocka_unit_test_setup(account_anchors_heads_from_before_its_end, fresh),
	        cmocka_unit_test_setup(last_key_cannot_be_revoked, fresh),
	        cmocka_unit_test_setup(hostile_entries_change_nothing, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
