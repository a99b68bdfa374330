/* SPDX-License-Identifier: Apache-2.0 */
/* test_fabric - facts about heads between a hub and its nodes: whose keys count, and what is an alarm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/fabric.h"
#include "io/ed25519.h"

struct signer {
	uint8_t seed[32];
	struct note_key pub;
	char vkey[NOTE_VKEY_MAX];
};

static void signer_make(struct signer *s, const char *name, enum note_key_type type, uint8_t number)
{
	uint8_t key[32];

	memset(s->seed, number, sizeof(s->seed));
	ed25519_public(s->seed, key);
	note_key_make(name, type, key, &s->pub);
	note_key_print(&s->pub, s->vkey);
}

/* A head of `size` entries, signed by these. */
static void head_of(
        const char *origin, uint64_t size, const struct signer *const *by, char out[2048], struct note *note)
{
	struct checkpoint c = {.origin = origin, .origin_n = strlen(origin), .size = size};
	size_t n = checkpoint_print(&c, out), text = n;
	uint8_t sig[64];

	out[n++] = '\n';
	for (; *by; by++) {
		ed25519_sign((*by)->seed, out, text, sig);
		n += note_line(&(*by)->pub, 0, sig, out + n);
	}
	assert_int_equal(note_parse(out, n, note, NULL), 0);
}

struct world {
	struct signer old, new, thief, other;
	struct fabric_keys none, had, both, fresh, stolen, elsewhere;
	struct policy *p;
};

static void keys_of(struct fabric_keys *k, const struct signer *a, const struct signer *b)
{
	assert_int_equal(fabric_keys_add(k, a->vkey, NULL), 0);
	if (b)
		assert_int_equal(fabric_keys_add(k, b->vkey, NULL), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->p = calloc(1, sizeof(*w->p));
	signer_make(&w->old, "plant/log", NOTE_ED25519, 1);
	signer_make(&w->new, "plant/log", NOTE_ED25519, 2);
	signer_make(&w->thief, "plant/log", NOTE_ED25519, 3);
	signer_make(&w->other, "elsewhere/log", NOTE_ED25519, 4);
	keys_of(&w->had, &w->old, NULL);
	keys_of(&w->both, &w->old, &w->new);
	keys_of(&w->fresh, &w->new, NULL);
	keys_of(&w->stolen, &w->thief, NULL);
	keys_of(&w->elsewhere, &w->other, NULL);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	free(w->p);
	free(w);
	return 0;
}

static int agree(struct world *w, const struct fabric_keys *had, const struct fabric_keys *said,
        const char *origin, const struct signer *a, const struct signer *b)
{
	const struct signer *by[] = {a, b, NULL};
	struct note_verifier v = ed25519_verifier();
	struct checkpoint c;
	char text[2048];
	struct note note;
	struct err e;

	head_of(origin, 7, by, text, &note);
	return fabric_agree(had, said, &note, &v, w->p, &c, &e);
}

static void first_keys_are_believed_when_they_signed(void **state)
{
	struct world *w = *state;

	assert_int_equal(agree(w, &w->none, &w->had, "plant/log", &w->old, NULL), 0);
	assert_int_equal(w->p->logs, 1);
	assert_int_equal(agree(w, &w->none, &w->had, "plant/log", &w->thief, NULL), -1);
	assert_int_equal(agree(w, &w->none, &w->none, "plant/log", &w->old, NULL), -1);
}

static void new_key_needs_the_signature_of_a_known_one(void **state)
{
	struct world *w = *state;

	assert_int_equal(agree(w, &w->had, &w->both, "plant/log", &w->old, &w->new), 0);
	assert_int_equal(w->p->logs, 2);
	assert_int_equal(agree(w, &w->both, &w->fresh, "plant/log", &w->new, NULL), 0);
	assert_int_equal(w->p->logs, 1);
	assert_int_equal(agree(w, &w->had, &w->stolen, "plant/log", &w->thief, NULL), -1);
	assert_int_equal(agree(w, &w->had, &w->stolen, "plant/log", &w->old, NULL), -1);
}

static void another_log_is_not_taken_for_the_known_one(void **state)
{
	struct world *w = *state;

	assert_int_equal(agree(w, &w->had, &w->elsewhere, "elsewhere/log", &w->other, NULL), -1);
	assert_int_equal(agree(w, &w->had, &w->had, "elsewhere/log", &w->old, NULL), -1);
}

static void keys_of_one_log_have_one_name_and_one_type(void **state)
{
	struct world *w = *state;
	struct fabric_keys k = {0};
	struct signer s;
	struct err e;
	char name[NOTE_NAME_MAX + 1];

	fabric_origin(&k, name);
	assert_string_equal(name, "");
	assert_int_equal(fabric_keys_add(&k, w->old.vkey, &e), 0);
	assert_int_equal(fabric_keys_add(&k, w->old.vkey, &e), 0);
	assert_int_equal(k.n, 1);
	assert_int_equal(fabric_keys_add(&k, w->other.vkey, &e), -1);
	signer_make(&s, "plant/log", NOTE_COSIGNATURE, 5);
	assert_int_equal(fabric_keys_add(&k, s.vkey, &e), -1);
	assert_int_equal(fabric_keys_add(&k, "plant/log", &e), -1);
	for (uint8_t i = 1; i < KEYSET_SIGNERS; i++) {
		signer_make(&s, "plant/log", NOTE_ED25519, (uint8_t)(10 + i));
		assert_int_equal(fabric_keys_add(&k, s.vkey, &e), 0);
	}
	signer_make(&s, "plant/log", NOTE_ED25519, 99);
	assert_int_equal(fabric_keys_add(&k, s.vkey, &e), -1);
	assert_int_equal(e.code, ERR_FULL);
	fabric_origin(&k, name);
	assert_string_equal(name, "plant/log");
}

static void only_what_a_log_signed_is_an_alarm(void **state)
{
	(void)state;
	assert_int_equal(fabric_judge(WITNESS_COSIGNED, 5, 7), FABRIC_GROWS);
	assert_int_equal(fabric_judge(WITNESS_COSIGNED, 5, 5), FABRIC_GROWS);
	assert_int_equal(fabric_judge(WITNESS_REFUSED, 5, 7), FABRIC_FORKED);
	assert_int_equal(fabric_judge(WITNESS_REFUSED, 5, 5), FABRIC_FORKED);
	assert_int_equal(fabric_judge(WITNESS_CONFLICT, 5, 4), FABRIC_OLDER);
	assert_int_equal(fabric_judge(WITNESS_CONFLICT, 5, 7), FABRIC_UNCLEAR);
	assert_int_equal(fabric_judge(WITNESS_MALFORMED, 5, 7), FABRIC_UNCLEAR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(first_keys_are_believed_when_they_signed, setup, teardown),
	        cmocka_unit_test_setup_teardown(new_key_needs_the_signature_of_a_known_one, setup, teardown),
	        cmocka_unit_test_setup_teardown(another_log_is_not_taken_for_the_known_one, setup, teardown),
	        cmocka_unit_test_setup_teardown(keys_of_one_log_have_one_name_and_one_type, setup, teardown),
	        cmocka_unit_test(only_what_a_log_signed_is_an_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
