/* SPDX-License-Identifier: Apache-2.0 */
/* test_mirrored - facts about a log that is brought in pieces: what is taken is what its signed head says, durable, and no more than may be; and
 * about asking such a folder for its entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <ftw.h>

#include <cmocka.h>

#include "core/logpiece.h"
#include "io/audit.h"
#include "io/ed25519.h"
#include "io/logdir.h"
#include "io/logfolder.h"
#include "io/logstore.h"
#include "io/mirrored.h"
#include "io/sha256.h"

#define ORIGIN "example.com/press-4"
#include "log_help.h"

struct log {
	struct world *w;
	struct logstore *l;
	struct policy *keys;
	char dir[80];
	uint8_t *piece;
	size_t n;
	struct mirrored_limits limits;
};

static void log_open(struct log *g, struct world *w)
{
	struct err e;

	memset(g, 0, sizeof(*g));
	g->w = w;
	g->limits = (struct mirrored_limits){.bytes_max = 64u << 20, .now_s = 1};
	g->keys = calloc(1, sizeof(*g->keys));
	log_policy(g->keys);
	(void)snprintf(g->dir, sizeof(g->dir), "%s-mirror", w->dir);
	world_open(w, NULL);
	if (logstore_open(w->dir, ORIGIN, false, &g->l, &e) < 0)
		fail_msg("%s", e.msg);
}

static void log_close(struct log *g)
{
	char cmd[200];

	logstore_close(g->l);
	free(g->keys);
	free(g->piece);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", g->dir);
	assert_int_equal(system(cmd), 0);
}

static void grow(struct log *g, uint64_t n)
{
	struct journal_head h;
	struct key k = log_key();
	struct err e;

	journal_head(g->w->j, &h);
	for (uint64_t i = h.size; i < n; i++)
		(void)world_add(g->w, i);
	world_flush_wait(g->w);
	if (logstore_publish(g->l, n, 1700000000, &k, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct witness_last cosigned(struct log *g)
{
	struct witness_last last = {0};
	struct log_head h;

	assert_int_equal(logstore_head(g->l, &h, NULL), 0);
	last.size = h.size;
	memcpy(last.root, h.root, 32);
	return last;
}

/* The next piece from there on, under the last head. */
static void make(struct log *g, uint64_t from)
{
	struct log_head h;
	struct err e;

	free(g->piece);
	g->piece = NULL;
	assert_int_equal(logstore_head(g->l, &h, NULL), 0);
	if (logstore_piece(g->l, from, h.note, h.note_n, LOGPIECE_BYTES_MIN, &g->piece, &g->n, &e) < 0)
		fail_msg("%s", e.msg);
}

static uint64_t mirrored(struct log *g)
{
	struct mirrored *m;
	struct err e;
	uint64_t size;

	if (mirrored_open(g->dir, &m, &e) < 0)
		fail_msg("%s", e.msg);
	size = mirrored_size(m);
	mirrored_close(m);
	return size;
}

/* 0, or the code of what was wrong. */
static enum err_code take_under(struct log *g, struct witness_last head)
{
	struct mirrored *m;
	struct err e = {0};
	int rc;

	if (mirrored_open(g->dir, &m, &e) < 0)
		fail_msg("%s", e.msg);
	rc = mirrored_take(m, g->piece, g->n, g->keys, &head, &g->limits, &e);
	mirrored_close(m);
	return rc < 0 ? e.code : ERR_NONE;
}

static enum err_code take(struct log *g)
{
	return take_under(g, cosigned(g));
}

static unsigned follow(struct log *g)
{
	unsigned pieces = 0;
	uint64_t size;

	while ((size = mirrored(g)) < cosigned(g).size) {
		make(g, size);
		assert_int_equal(take(g), ERR_NONE);
		pieces++;
	}
	return pieces;
}

static void audited(struct log *g, uint64_t size, uint64_t expired)
{
	struct audit_options o = {.threads = 1, .policy = g->keys};
	struct audit_report r;
	struct err e;

	if (audit_folder(g->dir, &o, &r, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(r.size, size);
	assert_int_equal(r.expired, expired);
	assert_string_equal(r.signer, ORIGIN);
}

static unsigned n_files;

static int count_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)path;
	(void)st;
	(void)at;
	n_files += kind == FTW_F;
	return 0;
}

static unsigned files(struct log *g)
{
	n_files = 0;
	assert_int_equal(nftw(g->dir, count_file, 8, FTW_PHYS), 0);
	return n_files;
}

/* ---- what is taken ---- */

static void log_arrives_whole_in_pieces(void **state)
{
	struct log g;

	log_open(&g, *state);
	grow(&g, 1500);
	assert_true(follow(&g) >= 4);
	audited(&g, 1500, 0);
	log_close(&g);
}

static void log_that_grows_is_followed_and_leaves_no_litter(void **state)
{
	static const uint64_t sizes[] = {1, 2, 100, 255, 256, 257, 300, 511, 512, 700, 701};
	struct log g;

	log_open(&g, *state);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		grow(&g, sizes[i]);
		assert_int_equal(follow(&g), 1);
		audited(&g, sizes[i], 0);
	}
	/* Two complete tiles with bundles, the partial ones of three levels, .lock, taken, trust.policy, checkpoint. */
	assert_in_range(files(&g), 10, 11);
	log_close(&g);
}

static void tree_of_three_levels_is_kept(void **state)
{
	struct log g;

	log_open(&g, *state);
	for (uint32_t i = 0; i < 66000; i++) {
		uint8_t be[4] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

		(void)journal_add(g.w->j, be, 4, NULL);
	}
	grow(&g, 66000);
	assert_true(follow(&g) >= 4);
	audited(&g, 66000, 0);
	log_close(&g);
}

static void head_is_shown_when_all_of_it_is_here(void **state)
{
	struct audit_report r;
	struct audit_options o = {.threads = 1};
	struct err e;
	struct log g;

	log_open(&g, *state);
	grow(&g, 100);
	(void)follow(&g);
	grow(&g, 1500);
	make(&g, 100);
	assert_int_equal(take(&g), ERR_NONE);
	assert_true(mirrored(&g) > 256 && mirrored(&g) < 1500);
	audited(&g, 100, 0);
	(void)follow(&g);
	assert_int_equal(audit_folder(g.dir, &o, &r, &e), 0);
	assert_int_equal(r.size, 1500);
	log_close(&g);
}

/* ---- what is not ---- */

static void changed_entry_is_refused(void **state)
{
	struct log g;

	log_open(&g, *state);
	grow(&g, 300);
	make(&g, 0);
	g.piece[g.n - 1] ^= 1;
	assert_int_equal(take(&g), ERR_CORRUPT);
	assert_int_equal(mirrored(&g), 0);
	make(&g, 0);
	assert_int_equal(take(&g), ERR_NONE);
	log_close(&g);
}

/* Items 0 and 1 of equal length are exchanged. */
static void swapped_entries_are_refused(void **state)
{
	struct logpiece p;
	uint8_t *items, a[6];
	struct log g;

	log_open(&g, *state);
	for (uint32_t i = 0; i < 10; i++)
		(void)journal_add(g.w->j, (const uint8_t *)&i, 4, NULL);
	grow(&g, 10);
	make(&g, 0);
	assert_int_equal(logpiece_parse(g.piece, g.n, &p, NULL), 0);
	items = g.piece + (p.items - g.piece);
	memcpy(a, items, 6);
	memmove(items, items + 6, 6);
	memcpy(items + 6, a, 6);
	assert_int_equal(take(&g), ERR_CORRUPT);
	log_close(&g);
}

static void short_piece_is_none(void **state)
{
	struct log g;

	log_open(&g, *state);
	grow(&g, 20);
	make(&g, 0);
	for (size_t n = g.n; n-- > 0;) {
		g.n = n;
		if (n % 97 == 0 || n < 40)
			assert_int_equal(take(&g), ERR_INVALID);
	}
	log_close(&g);
}

static void piece_begins_where_the_mirror_ends(void **state)
{
	struct log g;

	log_open(&g, *state);
	grow(&g, 20);
	make(&g, 0);
	assert_int_equal(take(&g), ERR_NONE);
	assert_int_equal(take(&g), ERR_EXISTS); /* the same again */
	grow(&g, 30);
	make(&g, 25);
	assert_int_equal(take(&g), ERR_EXISTS);
	make(&g, 20);
	assert_int_equal(take(&g), ERR_NONE);
	log_close(&g);
}

static void head_that_was_not_cosigned_brings_nothing(void **state)
{
	struct witness_last head;
	struct log g;

	log_open(&g, *state);
	grow(&g, 20);
	make(&g, 0);
	head = cosigned(&g);
	head.root[0] ^= 1;
	assert_int_equal(take_under(&g, head), ERR_DENIED);
	head = cosigned(&g);
	head.size--;
	assert_int_equal(take_under(&g, head), ERR_DENIED);
	log_close(&g);
}

/* The log of another, with the same number of entries; and the same one with a past that was rewritten. */
static void another_history_is_refused(void **state)
{
	struct world other = {{0}};
	struct log g, h;

	log_open(&g, *state);
	grow(&g, 300);
	(void)follow(&g);
	(void)snprintf(other.dir, sizeof(other.dir), "/tmp/osier-mirrored-XXXXXX");
	assert_non_null(mkdtemp(other.dir));
	log_open(&h, &other);
	for (uint64_t i = 0; i < 300; i++)
		(void)world_add(&other, i == 7 ? 8 : i);
	grow(&h, 400);
	make(&h, 300);
	free(g.piece);
	g.piece = h.piece;
	g.n = h.n;
	h.piece = NULL;
	assert_int_equal(take_under(&g, cosigned(&h)), ERR_CORRUPT);
	assert_int_equal(mirrored(&g), 300);
	audited(&g, 300, 0);
	world_close(&other);
	log_close(&h);
	log_close(&g);
	empty_folder(other.dir);
	(void)rmdir(other.dir);
}

static void stranger_signs_nothing(void **state)
{
	struct log g;

	log_open(&g, *state);
	grow(&g, 20);
	make(&g, 0);
	g.keys->log[0].key.key[0] ^= 1;
	assert_int_not_equal(take(&g), ERR_NONE);
	assert_int_equal(mirrored(&g), 0);
	log_close(&g);
}

/* ---- payloads, and the bound ---- */

static void dropped_history_comes_as_hashes(void **state)
{
	struct log g;

	log_open(&g, *state);
	grow(&g, 1000);
	drop_first_512(g.w);
	(void)follow(&g);
	audited(&g, 1000, 512);
	log_close(&g);
}

static void large_entry_comes_as_its_stand_in(void **state)
{
	uint8_t *large = calloc(1, 200000);
	struct log g;

	log_open(&g, *state);
	large[0] = 0x0a;
	(void)journal_add(g.w->j, large, 200000, NULL);
	grow(&g, 3);
	assert_int_equal(follow(&g), 1);
	assert_true(g.n < 4000);
	audited(&g, 3, 0);
	free(large);
	log_close(&g);
}

static void oldest_bundles_go_at_the_bound_and_the_tree_stays(void **state)
{
	struct mirrored_seen seen;
	struct err e;
	struct log g;

	log_open(&g, *state);
	g.limits.bytes_max = 300000;
	grow(&g, 1500);
	(void)follow(&g);
	assert_int_equal(mirrored_look(g.dir, &seen, &e), 0);
	assert_int_equal(seen.size, 1500);
	assert_true(seen.from > 0 && seen.from % 256 == 0 && seen.bytes < 300000);
	audited(&g, 1500, seen.from);
	mirrored_seen_release(&seen);
	log_close(&g);
}

static void hashes_that_fill_the_bound_end_it(void **state)
{
	struct log g;

	log_open(&g, *state);
	g.limits.bytes_max = 300 * 33;
	grow(&g, 200);
	(void)follow(&g);
	grow(&g, 400);
	make(&g, 200);
	assert_int_equal(take(&g), ERR_FULL);
	assert_int_equal(mirrored(&g), 200);
	g.limits.bytes_max = 64u << 20;
	assert_int_equal(take(&g), ERR_NONE);
	log_close(&g);
}

static void full_disk_takes_nothing(void **state)
{
	struct log g;

	log_open(&g, *state);
	g.limits.reserve_bytes = UINT64_MAX / 4;
	grow(&g, 20);
	make(&g, 0);
	assert_int_equal(take(&g), ERR_FULL);
	assert_int_equal(mirrored(&g), 0);
	log_close(&g);
}

static void old_bundles_go_with_their_age(void **state)
{
	struct mirrored_seen seen;
	struct mirrored *m;
	struct err e;
	struct log g;

	log_open(&g, *state);
	grow(&g, 600);
	(void)follow(&g);
	g.limits.age_s = 3600;
	g.limits.now_s = (uint64_t)time(NULL);
	assert_int_equal(mirrored_open(g.dir, &m, &e), 0);
	assert_int_equal(mirrored_sweep(m, &g.limits, &e), 0);
	mirrored_close(m);
	audited(&g, 600, 0);
	g.limits.now_s += 3700;
	assert_int_equal(mirrored_open(g.dir, &m, &e), 0);
	assert_int_equal(mirrored_sweep(m, &g.limits, &e), 0);
	mirrored_close(m);
	audited(&g, 600, 512);
	assert_int_equal(mirrored_look(g.dir, &seen, &e), 0);
	assert_int_equal(seen.bytes, 0);
	assert_int_equal(seen.from, 512);
	mirrored_seen_release(&seen);
	log_close(&g);
}

/* ---- crashes and damage ---- */

static void copy(struct log *g, const char *from, const char *to)
{
	char cmd[400];

	(void)snprintf(cmd, sizeof(cmd), "cp '%s/%s' '%s/%s'", g->dir, from, g->dir, to);
	assert_int_equal(system(cmd), 0);
}

/* Files of a piece were written, not all of them whole, and `taken` was not. */
static void piece_that_a_crash_cut_is_taken_again(void **state)
{
	char path[200];
	struct log g;

	log_open(&g, *state);
	grow(&g, 100);
	(void)follow(&g);
	copy(&g, "taken", "was");
	(void)snprintf(path, sizeof(path), "cp -r '%s/tile' '%s/tile.was'", g.dir, g.dir);
	assert_int_equal(system(path), 0);
	grow(&g, 300);
	(void)follow(&g);
	copy(&g, "was", "taken");
	(void)snprintf(path, sizeof(path), "cp -r '%s/tile.was/.' '%s/tile'", g.dir, g.dir);
	assert_int_equal(system(path), 0);
	(void)snprintf(path, sizeof(path), "%s/tile/0/000", g.dir);
	assert_int_equal(truncate(path, 0), 0);
	(void)snprintf(path, sizeof(path), "%s/tile/entries/000", g.dir);
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(mirrored(&g), 100);
	(void)follow(&g);
	audited(&g, 300, 0);
	log_close(&g);
}

static void damage_is_told(void **state)
{
	char path[200], cmd[300];
	struct mirrored *m;
	struct err e;
	struct log g;

	log_open(&g, *state);
	grow(&g, 100);
	(void)follow(&g);
	(void)snprintf(path, sizeof(path), "%s/tile/0/000.p/100", g.dir);
	assert_int_equal(truncate(path, 99 * 32), 0);
	assert_int_equal(mirrored_open(g.dir, &m, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	(void)snprintf(cmd, sizeof(cmd), "echo x >'%s/taken'", g.dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(mirrored_open(g.dir, &m, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	log_close(&g);
}

/* ---- a witness that begins anew ---- */

static void mirror_reminds_a_witness(void **state)
{
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	struct witness_last head, was;
	struct addcheckpoint a;
	struct log g;
	char *text;
	size_t n;

	log_open(&g, *state);
	grow(&g, 300);
	was = cosigned(&g);
	(void)follow(&g);
	grow(&g, 700);
	(void)follow(&g);
	text = mirrored_request(g.dir, 300, &n, &head);
	assert_non_null(text);
	assert_int_equal(addcheckpoint_parse(text, n, &a, NULL), 0);
	assert_int_equal(head.size, 700);
	assert_int_equal(proof_consistency_verify(&h, 300, was.root, 700, head.root,
	                         (const uint8_t(*)[32])a.path.hash, a.path.n, NULL),
	        0);
	free(text);
	assert_null(mirrored_request(g.dir, 700, &n, &head));
	sha256_free(sha);
	log_close(&g);
}

/* ---- asked about its entries ---- */

static struct logfolder *asked(struct log *g)
{
	struct logfolder *f;
	struct err e;

	if (logfolder_open(g->dir, &f, &e) < 0)
		fail_msg("%s", e.msg);
	return f;
}

static void entry_and_its_proof_are_given(void **state)
{
	struct logfolder_head head;
	struct logfolder *f;
	struct proof_source s;
	struct merkle_hash h;
	const uint8_t *bytes;
	uint8_t leaf[32];
	struct proof p;
	struct err e;
	struct log g;
	size_t n;

	log_open(&g, *state);
	grow(&g, 700);
	(void)follow(&g);
	f = asked(&g);
	s = logfolder_source(f);
	h = logfolder_hash(f);
	logfolder_head(f, &head);
	assert_string_equal(head.origin, ORIGIN);
	assert_int_equal(head.size, 700);
	for (uint64_t seq = 0; seq < 700; seq += 233) {
		assert_int_equal(logfolder_entry(f, seq, &bytes, &n, &e), 0);
		assert_entry(bytes, n, seq);
		assert_int_equal(logfolder_leaf(f, seq, leaf, &e), 0);
		assert_int_equal(proof_inclusion(&h, &s, seq, 700, &p, &e), 0);
		assert_int_equal(proof_inclusion_verify(&h, leaf, seq, 700, (const uint8_t(*)[32])p.hash, p.n,
		                         head.root, &e),
		        0);
	}
	assert_int_equal(logfolder_entry(f, 700, &bytes, &n, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	logfolder_close(f);
	log_close(&g);
}

static void entry_that_is_not_here_is_told(void **state)
{
	struct logfolder *f;
	const uint8_t *bytes;
	uint8_t leaf[32];
	struct err e;
	struct log g;
	size_t n;

	log_open(&g, *state);
	g.limits.bytes_max = 300000;
	grow(&g, 1500);
	(void)follow(&g);
	f = asked(&g);
	assert_int_equal(logfolder_leaf(f, 3, leaf, &e), 0);
	assert_int_equal(logfolder_entry(f, 3, &bytes, &n, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
	assert_non_null(strstr(e.msg, "payload of entry 3 is not here"));
	assert_int_equal(logfolder_entry(f, 1499, &bytes, &n, &e), 0);
	logfolder_close(f);
	log_close(&g);
}

static void entry_that_was_changed_is_told(void **state)
{
	struct logfolder *f;
	const uint8_t *bytes;
	char path[200];
	struct err e;
	struct log g;
	FILE *file;
	size_t n;

	log_open(&g, *state);
	grow(&g, 300);
	(void)follow(&g);
	(void)snprintf(path, sizeof(path), "%s/tile/entries/000", g.dir);
	file = fopen(path, "r+e");
	assert_non_null(file);
	assert_int_equal(fseek(file, 5, SEEK_SET), 0);
	assert_int_equal(fputc(0xee, file), 0xee);
	assert_int_equal(fclose(file), 0);
	f = asked(&g);
	assert_int_equal(logfolder_entry(f, 0, &bytes, &n, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_int_equal(logfolder_entry(f, 1, &bytes, &n, &e), 0);
	logfolder_close(f);
	(void)snprintf(path, sizeof(path), "%s/tile/0/001.p/44", g.dir);
	assert_int_equal(truncate(path, 32), 0);
	assert_int_equal(logfolder_open(g.dir, &f, &e), -1);
	log_close(&g);
}

static void folder_says_whom_it_was_believed_from(void **state)
{
	struct policy *p = calloc(1, sizeof(*p));
	char path[200], text[600];
	struct log g;
	struct err e;
	FILE *file;
	size_t n;

	log_open(&g, *state);
	grow(&g, 3);
	(void)follow(&g);
	(void)snprintf(path, sizeof(path), "%s/trust.policy", g.dir);
	file = fopen(path, "re");
	assert_non_null(file);
	n = fread(text, 1, sizeof(text), file);
	(void)fclose(file);
	assert_int_equal(policy_parse(text, n, p, &e), 0);
	assert_int_equal(p->logs, 1);
	assert_memory_equal(p->log[0].key.key, g.keys->log[0].key.key, 32);
	free(p);
	log_close(&g);
}

static void folders_are_named_by_node_and_log(void **state)
{
	char a[MIRRORED_NAME], b[MIRRORED_NAME];

	(void)state;
	mirrored_name("press-4", "press-4/osier-1", a);
	mirrored_name("press-4", "press-4/osier-2", b);
	assert_int_equal(strncmp(a, "press-4-", 8), 0);
	assert_int_equal(strlen(a), 16);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        fact(log_arrives_whole_in_pieces),
	        fact(log_that_grows_is_followed_and_leaves_no_litter),
	        fact(tree_of_three_levels_is_kept),
	        fact(head_is_shown_when_all_of_it_is_here),
	        fact(changed_entry_is_refused),
	        fact(swapped_entries_are_refused),
	        fact(short_piece_is_none),
	        fact(piece_begins_where_the_mirror_ends),
	        fact(head_that_was_not_cosigned_brings_nothing),
	        fact(another_history_is_refused),
	        fact(stranger_signs_nothing),
	        fact(dropped_history_comes_as_hashes),
	        fact(large_entry_comes_as_its_stand_in),
	        fact(oldest_bundles_go_at_the_bound_and_the_tree_stays),
	        fact(hashes_that_fill_the_bound_end_it),
	        fact(full_disk_takes_nothing),
	        fact(old_bundles_go_with_their_age),
	        fact(piece_that_a_crash_cut_is_taken_again),
	        fact(damage_is_told),
	        fact(mirror_reminds_a_witness),
	        fact(entry_and_its_proof_are_given),
	        fact(entry_that_is_not_here_is_told),
	        fact(entry_that_was_changed_is_told),
	        fact(folder_says_whom_it_was_believed_from),
	        cmocka_unit_test(folders_are_named_by_node_and_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
