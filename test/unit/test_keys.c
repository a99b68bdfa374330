/* SPDX-License-Identifier: Apache-2.0 */
/* test_keys - facts about key files: what is written is read, by its owner alone, and with the passphrase alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/keys.h"

static char dir[64], path[96];

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-keys.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/log.key", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static void written_keys_are_read_again(void **state)
{
	static const char *const phrases[] = {NULL, "correct horse"};
	struct note_key pub;
	bool sealed;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct key made, read;
		struct stat st;
		struct err e;

		assert_int_equal(key_create(path, "press-4/log", NOTE_ED25519, phrases[i], &made, NULL), 0);
		assert_int_equal(key_create(path, "press-4/log", NOTE_ED25519, phrases[i], &read, &e), -1);
		assert_int_equal(e.code, ERR_EXISTS);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(key_load(path, phrases[i], &read, NULL), 0);
		assert_memory_equal(&read, &made, sizeof(made));
		assert_int_equal(key_load_public(path, &pub, &sealed, NULL), 0);
		assert_memory_equal(&pub, &made.pub, sizeof(pub));
		assert_int_equal(sealed, phrases[i] != NULL);
		assert_int_equal(unlink(path), 0);
	}
}

static void known_text_is_the_known_key(void **state)
{
	static const char text[] = "PRIVATE+KEY+example.com/elastic/log1+c3ebf752+AZ1hsZ3v/"
	                           "VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n";
	char back[KEY_FILE_MAX];
	struct key k;

	(void)state;
	assert_int_equal(key_parse(text, strlen(text), NULL, &k, NULL), 0);
	assert_string_equal(k.pub.name, "example.com/elastic/log1");
	assert_int_equal(key_print(&k, NULL, back), strlen(text));
	assert_string_equal(back, text);
}

static void sealed_key_needs_its_passphrase(void **state)
{
	struct key made, read;
	struct err e;

	(void)state;
	assert_int_equal(key_create(path, "w", NOTE_COSIGNATURE, "right", &made, NULL), 0);
	assert_int_equal(key_load(path, NULL, &read, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_int_equal(key_load(path, "wrong", &read, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_non_null(strstr(e.msg, "passphrase"));
}

static void key_that_others_may_read_is_refused(void **state)
{
	struct key k;
	struct err e;

	(void)state;
	assert_int_equal(key_create(path, "w", NOTE_ED25519, NULL, &k, NULL), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(key_load(path, NULL, &k, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(key_load(path, NULL, &k, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	assert_int_equal(key_create(path, "two words", NOTE_ED25519, NULL, &k, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
}

/* Each byte changed, each length: an error, never another key. The slow ones (Argon2id) for some bytes only. */
static void damaged_keys_are_no_keys(void **state)
{
	static const char *const phrases[] = {NULL, "correct horse"};
	struct key k, other;

	(void)state;
	assert_int_equal(key_create(path, "press-4/log", NOTE_ED25519, NULL, &k, NULL), 0);
	for (size_t p = 0; p < 2; p++) {
		char text[KEY_FILE_MAX];
		size_t n = key_print(&k, phrases[p], text), step = p ? 41 : 1;

		for (size_t i = 0; i < n; i += step) {
			text[i] ^= 1;
			if (key_parse(text, n, phrases[p], &other, NULL) == 0)
				fail_msg("byte %zu can be changed", i);
			text[i] ^= 1;
			assert_int_equal(key_parse(text, i, phrases[p], &other, NULL), -1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(written_keys_are_read_again, set_up, NULL),
	        cmocka_unit_test(known_text_is_the_known_key),
	        cmocka_unit_test_setup_teardown(sealed_key_needs_its_passphrase, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(key_that_others_may_read_is_refused, set_up, NULL),
	        cmocka_unit_test_setup_teardown(damaged_keys_are_no_keys, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
