/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_dsse - an in-toto Statement in a DSSE envelope: which node signed it, and what it says.
 *
 * It is the word of a node and no more: not in a log, seen by no witness. So a key that was revoked counts for nothing here,
 * whenever the envelope may have been signed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/show.h"
#include "cli/verify.h"
#include "core/dsse.h"
#include "core/provenance.h"
#include "io/ed25519.h"
#include "io/growing.h"
#include "io/sha256.h"

struct sealed {
	struct growing g;
	struct dsse d;
	struct note_key key; /* that signed it */
	json_t *statement;
	const char *file_is; /* the subject that --output is */
};

bool verify_is_envelope(const char *bytes, size_t n)
{
	size_t i = 0;

	while (i < n && (bytes[i] == ' ' || bytes[i] == '\n' || bytes[i] == '\t' || bytes[i] == '\r'))
		i++;
	return i < n && bytes[i] == '{';
}

static int no_match(struct err *e, const char *whose)
{
	return err_set(e, ERR_CORRUPT, "the envelope is not signed with %s, or was changed since", whose);
}

/* With the key that --key gives. */
static int by_key(struct sealed *s, const char *vkey, struct err *e)
{
	struct note_verifier v = ed25519_verifier();
	enum note_verdict verdict = NOTE_UNSIGNED;

	if (note_key_parse(vkey, strlen(vkey), &s->key, e) < 0)
		return err_wrap(e, "--key");
	if (s->key.type != NOTE_ED25519)
		return err_set(e, ERR_INVALID, "--key is the key of a witness, which signs no envelopes");
	if (dsse_verify(&s->g.arena, &s->d, s->key.key, &v, &verdict, e) < 0)
		return -1;
	return verdict == NOTE_SIGNED ? 0 : no_match(e, "that key");
}

struct keyset *verify_keys(const char *path, struct err *e)
{
	size_t n;
	char *text = verify_file(path, 4u << 20, &n, e);
	json_t *j = text ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	struct keyset *s = NULL;

	if (j && json_array_size(json_object_get(j, "keys"))) {
		s = keys_fold(json_object_get(j, "keys"));
	} else if (text) {
		(void)err_set(e, ERR_INVALID, "'%.150s' has no keys in it", path);
		(void)err_hint(e, "osier ledger keys --json, on the node, writes such a file");
	}
	json_decref(j);
	free(text);
	return s;
}

/* With one of the keys that the node ever had for what it ran. 1: with none of them. */
static int by_keyset(struct sealed *s, const struct keyset *set, struct err *e)
{
	struct note_verifier v = ed25519_verifier();

	for (unsigned i = 0; i < set->n; i++) {
		const struct keyset_key *k = &set->key[i];
		enum note_verdict verdict = NOTE_UNSIGNED;

		if (k->role != WIRE__KEY_SET__ROLE__NODE ||
		        note_key_parse(k->vkey, strlen(k->vkey), &s->key, NULL) < 0)
			continue;
		if (dsse_verify(&s->g.arena, &s->d, s->key.key, &v, &verdict, e) < 0)
			return -1;
		if (verdict != NOTE_SIGNED)
			continue;
		if (k->state != WIRE__KEY_SET__STATE__REVOKED)
			return 0;
		(void)err_set(e, ERR_CORRUPT,
		        "the envelope is signed with a key that entry %llu revoked: %.100s",
		        (unsigned long long)k->until, k->reason);
		return err_hint(e, "an envelope has no place in the log: ask the node for a new one");
	}
	return 1;
}

/* The keys of the file that --keys names, or of the node here. */
static int by_node(struct cli *c, struct sealed *s, struct err *e)
{
	const char *path = args_value(&c->args, "keys");
	struct keyset *set;
	json_t *j = NULL;
	int rc;

	if (path) {
		set = verify_keys(path, e);
		if (!set)
			return -1;
	} else if (cli_connect_look(c, e) < 0 || !(j = ask_get(c, e, "/v1/ledger/keys"))) {
		(void)err_wrap(e, "whose envelope is it?");
		return err_hint(e, "--key VKEY says which node's: 'osier ledger keys' on that node shows it");
	} else {
		set = keys_fold(json_object_get(j, "keys"));
	}
	rc = by_keyset(s, set, e);
	free(set);
	json_decref(j);
	if (rc != 1)
		return rc;
	(void)no_match(e, path ? "a key of that node" : "a key of the node here");
	return err_hint(e, "--key VKEY for another node's");
}

/* ---- what it says ---- */

static int read_statement(struct sealed *s, struct err *e)
{
	json_error_t bad;

	if (s->d.type_n != strlen(DSSE_IN_TOTO) || strcmp(s->d.type, DSSE_IN_TOTO) != 0)
		return err_set(
		        e, ERR_INVALID, "the envelope holds '%.100s', not an in-toto Statement", s->d.type);
	s->statement = json_loadb((const char *)s->d.payload, s->d.payload_n, JSON_REJECT_DUPLICATES, &bad);
	if (!s->statement || strcmp(j_str(s->statement, "_type"), STATEMENT_TYPE) != 0 ||
	        !json_array_size(json_object_get(s->statement, "subject")))
		return err_set(e, ERR_INVALID, "what the envelope holds is not an in-toto Statement v1");
	return 0;
}

static int check_file(struct sealed *s, const char *path, struct err *e)
{
	char hex[SHA256_HEX + 1];
	uint8_t digest[32];
	uint64_t n;
	size_t i;
	json_t *o;

	if (verify_file_digest(path, digest, &n, e) < 0)
		return -1;
	sha256_hex(digest, hex);
	json_array_foreach(json_object_get(s->statement, "subject"), i, o)
	{
		if (strcmp(j_str(json_object_get(o, "digest"), "sha256"), hex) == 0) {
			s->file_is = j_str(o, "name");
			return 0;
		}
	}
	(void)err_set(e, ERR_CORRUPT,
	        "the envelope holds, but not for '%.120s': that is none of its subjects", path);
	return err_hint(e, "compare the SHA-256 with those that are shown without --output");
}

static void clean_field(const char *label, const char *head, const char *text, const char *tail)
{
	struct text t = {0};

	text_add(&t, head);
	text_add_clean(&t, text, strlen(text), "");
	text_add(&t, tail);
	show_field(label, text_str(&t));
	text_release(&t);
}

/* Which other replicas came to the same, as the node says. */
static void print_agreed(const json_t *run)
{
	json_int_t before = -1, by = 0, told = 0, replica;
	char text[200];
	size_t i;
	json_t *o;

	json_array_foreach(json_object_get(run, "byproducts"), i, o)
	{
		const json_t *a = json_object_get(o, "annotations");

		replica = json_integer_value(json_object_get(a, "replica"));
		if (!json_is_true(json_object_get(a, "osier_agrees")) || replica == before)
			continue;
		(void)snprintf(text, sizeof(text),
		        "replica %lld, under lease %lld on node %lld, came to the same: entry %lld",
		        (long long)replica, (long long)json_integer_value(json_object_get(a, "lease")),
		        (long long)json_integer_value(json_object_get(a, "node")),
		        (long long)json_integer_value(json_object_get(a, "entry")));
		show_field(before < 0 ? "verified" : "", text);
		before = replica;
		by = json_integer_value(json_object_get(a, "committed_by"));
		told = json_integer_value(json_object_get(a, "first_told"));
	}
	if (by <= 0 || told <= by)
		return;
	(void)snprintf(text, sizeof(text),
	        "all of them had committed to their answers by entry %lld, before the first was told in "
	        "entry %lld",
	        (long long)by, (long long)told);
	show_field("", text);
}

static void print_sealed(const struct sealed *s)
{
	const json_t *predicate = json_object_get(s->statement, "predicate"),
	             *run = json_object_get(predicate, "runDetails"),
	             *meta = json_object_get(run, "metadata");
	struct text t = {0};
	size_t i;
	json_t *o;

	term_paint(&t, stdout, BOLD, "the envelope holds");
	text_add(&t, ": ");
	text_add_clean(&t, j_str(meta, "invocationId"), strlen(j_str(meta, "invocationId")), "");
	text_add(&t, " is signed by its node");
	(void)puts(text_str(&t));
	text_release(&t);
	show_fieldf("key", "%s, %02x%02x%02x%02x", s->key.name, s->key.id[0], s->key.id[1], s->key.id[2],
	        s->key.id[3]);
	clean_field("says", "", j_str(s->statement, "predicateType"), "");
	clean_field("built by", "", j_str(json_object_get(run, "builder"), "id"), "");
	clean_field("when", "", j_str(meta, "startedOn"), "");
	if (*j_str(meta, "osier_outcome"))
		clean_field("outcome", "", j_str(meta, "osier_outcome"), "");
	json_array_foreach(json_object_get(s->statement, "subject"), i, o)
	{
		const char *hex = j_str(json_object_get(o, "digest"), "sha256");
		struct text sha = {0};

		text_add(&sha, ", sha256 ");
		text_add_clean(&sha, hex, strlen(hex), "");
		clean_field(i ? "" : "put out", "", j_str(o, "name"), text_str(&sha));
		text_release(&sha);
	}
	print_agreed(run);
	show_field("not shown", "that it is in a log: a receipt ('osier receipt') shows that");
	if (s->file_is)
		clean_field("your file", "is ", s->file_is, " of the task, byte for byte");
}

static void json_sealed(const struct sealed *s)
{
	char vkey[NOTE_VKEY_MAX];
	json_t *j;

	note_key_print(&s->key, vkey);
	j = json_pack("{s:s,s:s,s:O}", "level", "signed", "key", vkey, "statement", s->statement);
	CHECK(j);
	json_object_set_new(j, "file_is", s->file_is ? json_string(s->file_is) : json_null());
	json_print(j);
	json_decref(j);
}

int verify_envelope(struct cli *c, const char *bytes, size_t n, struct err *e)
{
	const char *key = args_value(&c->args, "key"), *output = args_value(&c->args, "output");
	struct sealed *s = cli_alloc(sizeof(*s));
	int rc;

	*s = (struct sealed){0};
	growing_init(&s->g, 256u << 10, 8u * DSSE_BYTES_MAX);
	rc = dsse_parse(&s->g.arena, bytes, n, &s->d, e);
	if (rc == 0)
		rc = key ? by_key(s, key, e) : by_node(c, s, e);
	if (rc == 0)
		rc = read_statement(s, e);
	if (rc == 0 && output)
		rc = check_file(s, output, e);
	if (rc == 0 && c->json)
		json_sealed(s);
	else if (rc == 0)
		print_sealed(s);
	json_decref(s->statement);
	growing_release(&s->g);
	free(s);
	return rc;
}
