/* SPDX-License-Identifier: Apache-2.0 */
/* test_note - facts about signed notes, keys and checkpoints: published ones, real ones, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "core/note.h"
#include "io/ed25519.h"
#include "io/sha256.h"

/* RFC 8032, 7.1, tests 1 and 2: the keys of the golden set. */
static const uint8_t log_seed[32] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4,
        0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c,
        0xae, 0x7f, 0x60};
static const uint8_t witness_seed[32] = {0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3,
        0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed,
        0x4f, 0xb8, 0xa6, 0xfb};
#define LOG_VKEY     "example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define WITNESS_VKEY "example.com/elastic/node-2+0c805605+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"

static struct note_key key_of(const char *vkey)
{
	struct note_key k;

	assert_int_equal(note_key_parse(vkey, strlen(vkey), &k, NULL), 0);
	return k;
}

static size_t load(const char *name, char *out, size_t max)
{
	char path[512];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/test/data/ledger/%s", OSIER_SOURCE_ROOT, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(out, 1, max, f);
	assert_true(n < max);
	(void)fclose(f);
	return n;
}

static enum note_verdict verdict(const char *bytes, size_t n, const char *vkey, uint64_t *out_time)
{
	struct note_verifier v = ed25519_verifier();
	struct note_key k = key_of(vkey);
	struct note note;

	assert_int_equal(note_parse(bytes, n, &note, NULL), 0);
	return note_verify(&note, &k, &v, out_time);
}

static void base64_has_one_spelling(void **state)
{
	static const char *const right[] = {"", "AA==", "AAA=", "AAAA", "+/+/"};
	static const char *const wrong[] = {"A", "AA", "AAA",
	        "AA=", "AB==", "AAB=", "A===", "====", "AA==AAAA", "AA\n=", " AAA", "AA-_",
	        "AAAA=", "AAA=AAA="};
	uint8_t bytes[16];
	char back[32];

	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		long n = base64_read(right[i], strlen(right[i]), bytes, sizeof(bytes));

		assert_true(n >= 0);
		assert_int_equal(base64_write(bytes, (size_t)n, back), strlen(right[i]));
		assert_string_equal(back, right[i]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(base64_read(wrong[i], strlen(wrong[i]), bytes, sizeof(bytes)), -1);
	assert_int_equal(base64_read("AAAA", 4, bytes, 2), -1);
}

static void published_note_verifies(void **state)
{
	static const char note[] = "This is an example message.\n\n"
	                           "\xe2\x80\x94 example.com/foo "
	                           "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmR"
	                           "KuwHjG1Yu72IneyaQM=\n";
	static const char vkey[] = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
	char changed[sizeof(note)], printed[NOTE_VKEY_MAX];
	struct note_key k = key_of(vkey);

	(void)state;
	assert_int_equal(verdict(note, sizeof(note) - 1, vkey, NULL), NOTE_SIGNED);
	assert_int_equal(verdict(note, sizeof(note) - 1, LOG_VKEY, NULL), NOTE_UNSIGNED);
	memcpy(changed, note, sizeof(note));
	changed[0] = 't';
	assert_int_equal(verdict(changed, sizeof(note) - 1, vkey, NULL), NOTE_FORGED);
	note_key_print(&k, printed);
	assert_string_equal(printed, vkey);
}

static void real_checkpoints_verify(void **state)
{
	static const char sum[] =
	        "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n"
	        "\xe2\x80\x94 sum.golang.org "
	        "Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+"
	        "o3GeoWwOoAw=\n";
	char bytes[16384];
	size_t n = load("checkpoint_arche2025h1.txt", bytes, sizeof(bytes));
	struct checkpoint c;
	struct note note;
	uint64_t when = 0;

	(void)state;
	assert_int_equal(
	        verdict(sum, sizeof(sum) - 1,
	                "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", NULL),
	        NOTE_SIGNED);
	assert_int_equal(verdict(bytes, n,
	                         "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/"
	                         "PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f",
	                         NULL),
	        NOTE_SIGNED);
	assert_int_equal(
	        verdict(bytes, n, "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
	                &when),
	        NOTE_SIGNED);
	assert_int_equal(when, 1779573024);
	assert_int_equal(
	        verdict(bytes, n,
	                "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv", &when),
	        NOTE_SIGNED);
	assert_int_equal(note_parse(bytes, n, &note, NULL), 0);
	assert_int_equal(checkpoint_parse(note.text, note.text_n, &c, NULL), 0);
	assert_int_equal(c.size, 1432088532);
	assert_int_equal(c.extensions_n, 0);
}

/* What we write must be the golden file to the byte: Ed25519 signatures have one value. */
static void golden_checkpoint_is_written_to_the_byte(void **state)
{
	static const char origin[] = "example.com/elastic/log1";
	char want[2048], got[2048], text[CHECKPOINT_TEXT_MAX], line[NOTE_LINE_MAX],
	        msg[sizeof(COSIGNED_HEAD) + CHECKPOINT_TEXT_MAX];
	size_t want_n = load("golden_checkpoint_8.txt", want, sizeof(want)), n, at, m;
	struct checkpoint c = {.origin = origin, .origin_n = strlen(origin), .size = 8};
	struct note_key log, witness;
	uint8_t pub[32], sig[64];

	(void)state;
	assert_int_equal(
	        sha256_unhex("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328", c.root), 0);
	ed25519_public(log_seed, pub);
	note_key_make(origin, NOTE_ED25519, pub, &log);
	ed25519_public(witness_seed, pub);
	note_key_make("example.com/elastic/node-2", NOTE_COSIGNATURE, pub, &witness);
	n = checkpoint_print(&c, text);
	memcpy(got, text, n);
	at = n;
	got[at++] = '\n';
	ed25519_sign(log_seed, text, n, sig);
	m = note_line(&log, 0, sig, line);
	memcpy(got + at, line, m);
	at += m;
	m = note_cosigned(1700000000, text, n, msg);
	ed25519_sign(witness_seed, msg, m, sig);
	m = note_line(&witness, 1700000000, sig, line);
	memcpy(got + at, line, m);
	at += m;
	assert_int_equal(at, want_n);
	assert_memory_equal(got, want, want_n);
	note_key_print(&log, got);
	assert_string_equal(got, LOG_VKEY);
	note_key_print(&witness, got);
	assert_string_equal(got, WITNESS_VKEY);
}

static void every_flipped_bit_of_a_checkpoint_is_noticed(void **state)
{
	struct note_verifier v = ed25519_verifier();
	struct note_key log = key_of(LOG_VKEY), witness = key_of(WITNESS_VKEY);
	char bytes[2048];
	size_t n = load("golden_checkpoint_8.txt", bytes, sizeof(bytes));

	(void)state;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		struct note note;

		bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
		if (note_parse(bytes, n, &note, NULL) == 0)
			assert_false(note_verify(&note, &log, &v, NULL) == NOTE_SIGNED &&
			             note_verify(&note, &witness, &v, NULL) == NOTE_SIGNED);
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
	}
}

static void broken_keys_are_refused(void **state)
{
	static const char *const wrong[] = {"", "+", "a", "a+b+c",
	        "+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea",
	        "example.com/elastic/log1+c3ebf753+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea",
	        "example.com/elastic/log2+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea",
	        "example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1E",
	        "example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1EaAAAA",
	        "example.com/elastic/log1+c3ebf752+BtdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea",
	        "example.com/elastic/log1+c3ebf752+", "example.com/elastic/log1+c3ebf752",
	        "example.com/elastic log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea",
	        "example.com/elastic/log1+C3EBF752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct note_key k;
		struct err e = {0};

		assert_int_equal(note_key_parse(wrong[i], strlen(wrong[i]), &k, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
	assert_false(note_name_ok("a\xc2\xa0z", 4));    /* no-break space */
	assert_false(note_name_ok("a\xe3\x80\x80", 4)); /* ideographic space */
	assert_false(note_name_ok("a\xc0\xaf", 3));     /* overlong */
	assert_false(note_name_ok("\xed\xa0\x80", 3));  /* surrogate */
	assert_true(note_name_ok("caf\xc3\xa9/\xe6\x9c\xa8", 9));
}

static void broken_notes_are_refused(void **state)
{
#define SIG "\xe2\x80\x94 k AAAAAAAA\n"
	static const char *const wrong[] = {"", "\n", "\n\n", "text\n", "text\n\n", "text\n" SIG, "\n" SIG,
	        "\n\n" SIG "x", "text\n\n- k AAAAAAAA\n", "text\n\n\xe2\x80\x94k AAAAAAAA\n",
	        "text\n\n\xe2\x80\x94 k  AAAAAAAA\n", "text\n\n\xe2\x80\x94 AAAAAAAA\n",
	        "text\n\n\xe2\x80\x94 k AAAA\n", "text\n\n\xe2\x80\x94 k AAAAAA=A\n", "text\n\n" SIG "\n",
	        "te\txt\n\n" SIG, "te\xff\n\n" SIG, "text\r\n\n" SIG, "text\n\n" SIG "more\n"};
	char many[NOTE_SIGS_MAX * 20 + 64] = "text\n\n";
	struct note note;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err e = {0};

		assert_int_equal(note_parse(wrong[i], strlen(wrong[i]), &note, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
	for (int i = 0; i < NOTE_SIGS_MAX; i++)
		memcpy(many + strlen(many), SIG, sizeof(SIG));
	assert_int_equal(note_parse(many, strlen(many), &note, NULL), 0);
	memcpy(many + strlen(many), SIG, sizeof(SIG));
	assert_int_equal(note_parse(many, strlen(many), &note, NULL), -1);
	/* The text may hold empty lines: it ends at the last one. */
	assert_int_equal(note_parse("a\n\nb\n\n" SIG, strlen("a\n\nb\n\n" SIG), &note, NULL), 0);
	assert_int_equal(note.text_n, 5);
}

static void broken_checkpoints_are_refused(void **state)
{
#define ROOT "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
	static const char *const wrong[] = {"", "o\n", "o\n8\n", "\n8\n" ROOT "\n", "o\n08\n" ROOT "\n",
	        "o\n-8\n" ROOT "\n", "o\n8 \n" ROOT "\n", "o\n0x8\n" ROOT "\n",
	        "o\n18446744073709551616\n" ROOT "\n", "o\n\n" ROOT "\n", "o\n8\nXcna\n", "o\n8\n" ROOT,
	        "o\n8\n" ROOT "\n\n", "o\n8\n" ROOT "\next", "o\n8\n" ROOT "=\n"};
	struct checkpoint c;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err e = {0};

		assert_int_equal(checkpoint_parse(wrong[i], strlen(wrong[i]), &c, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
	assert_int_equal(
	        checkpoint_parse("o\n18446744073709551615\n" ROOT "\nx\n", 30 + strlen(ROOT) - 5, &c, NULL),
	        -1);
	assert_int_equal(
	        checkpoint_parse("o\n0\n" ROOT "\next\n", strlen("o\n0\n" ROOT "\next\n"), &c, NULL), 0);
	assert_int_equal(c.extensions_n, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(base64_has_one_spelling),
	        cmocka_unit_test(published_note_verifies),
	        cmocka_unit_test(real_checkpoints_verify),
	        cmocka_unit_test(golden_checkpoint_is_written_to_the_byte),
	        cmocka_unit_test(every_flipped_bit_of_a_checkpoint_is_noticed),
	        cmocka_unit_test(broken_keys_are_refused),
	        cmocka_unit_test(broken_notes_are_refused),
	        cmocka_unit_test(broken_checkpoints_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
