/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_keys - with which keys this node speaks: their files, and the entries that say so.
 *
 * The log decides, not the files: KeySet entries say which key signs what, from which place on (core/keyset.h). A file only has to be
 * there before its key is named in an entry. So a rotation is: a new file ROLE.key.new, durable; the entries; and once they are
 * published, the names: ROLE.key becomes ROLE.key.1 (2, 3 ...), ROLE.key.new becomes ROLE.key. All files are read at the start,
 * whatever they are called, so a kill between any two steps changes nothing of who signs. A ROLE.key.new that no entry names
 * is taken by the next rotation.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "core/policy.h"
#include "engine/ledger_int.h"
#include "engine/parent.h"
#include "engine/witness.h"
#include "io/disk.h"
#include "io/ed25519.h"
#include "io/ethkey.h"

#define PATH_ROOM (4096u + 48u)

static const char *role_name(Wire__KeySet__Role role)
{
	if (role == WIRE__KEY_SET__ROLE__ANCHOR)
		return "anchor";
	return role == WIRE__KEY_SET__ROLE__LOG ? "log" : "node";
}

static struct key *ring_of(struct ledger *l, Wire__KeySet__Role role, unsigned **out_n)
{
	*out_n = role == WIRE__KEY_SET__ROLE__LOG ? &l->ring.logs : &l->ring.nodes;
	return role == WIRE__KEY_SET__ROLE__LOG ? l->ring.log : l->ring.node;
}

/* number 0: ROLE.key; -1: ROLE.key.new; else ROLE.key.N. */
static void file_path(const struct ledger *l, Wire__KeySet__Role role, int number, char out[PATH_ROOM])
{
	char tail[16] = "";

	if (number > 0)
		(void)snprintf(tail, sizeof(tail), ".%d", number);
	(void)snprintf(out, PATH_ROOM, "%s/keys/%s.key%s", l->node->state_dir, role_name(role),
	        number < 0 ? ".new" : tail);
}

/* ---- reading files ---- */

/* Add a file's key to the ring, when there is one. */
static int read_file(struct ledger *l, Wire__KeySet__Role role, int number, const char *secret, struct err *e)
{
	unsigned *n;
	struct key *ring = ring_of(l, role, &n), k;
	char path[PATH_ROOM];
	int rc;

	file_path(l, role, number, path);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (*n == RING_MAX) {
		(void)err_set(
		        e, ERR_FULL, "there are more than %u keys of the %s", RING_MAX, role_name(role));
		return err_hint(e, "move files of revoked ones out of the folder 'keys'");
	}
	rc = key_load(path, secret, &k, e);
	if (rc == 0 && *n && strcmp(ring[0].pub.name, k.pub.name) != 0)
		rc = err_set(e, ERR_CORRUPT, "'%.150s' is the key of another %s", path, role_name(role));
	if (rc == 0)
		ring[(*n)++] = k;
	key_forget(&k);
	return rc;
}

/* The oldest first: as long as the log says nothing, the first signs. */
static int read_role(struct ledger *l, Wire__KeySet__Role role, const char *secret, struct err *e)
{
	for (int i = 1; i <= (int)RING_MAX; i++)
		if (read_file(l, role, i, secret, e) < 0)
			return -1;
	return read_file(l, role, 0, secret, e) < 0 ? -1 : read_file(l, role, -1, secret, e);
}

static int open_role(
        struct ledger *l, Wire__KeySet__Role role, const char *name, const char *secret, struct err *e)
{
	unsigned *n;
	struct key *ring = ring_of(l, role, &n);
	char path[PATH_ROOM];

	if (read_role(l, role, secret, e) < 0)
		return -1;
	if (*n)
		return 0;
	file_path(l, role, 0, path);
	if (key_create(path, name, NOTE_ED25519, secret, &ring[0], e) < 0)
		return -1;
	*n = 1;
	return 0;
}

/* The log's name for life: the node's, made one of a kind. A configuration may name another before the first start. */
static void make_origin(const struct node *n, char out[NOTE_NAME_MAX + 1])
{
	uint8_t r[4];

	if (n->config.origin[0]) {
		(void)snprintf(out, NOTE_NAME_MAX + 1, "%s", n->config.origin);
		return;
	}
	CHECK(getrandom(r, sizeof(r), 0) == sizeof(r));
	(void)snprintf(out, NOTE_NAME_MAX + 1, "%s/osier-%02x%02x%02x%02x", n->name, r[0], r[1], r[2], r[3]);
}

/* The account that pays for anchors, when the configuration names a chain. Only told of here: the messenger uses it. */
static void open_account(struct ledger *l, const char *dir, const char *secret)
{
	const struct config *c = &l->node->config;
	char path[4096 + 32];
	uint8_t account[20];
	bool chain = false;
	struct err e;

	for (size_t i = 0; i < c->n_anchors; i++)
		chain = chain || c->anchors[i].kind == CONFIG_CHAIN;
	if (!chain)
		return;
	(void)snprintf(path, sizeof(path), "%s/anchor.key", dir);
	if (ethkey_open_account(path, secret, account, &e) < 0)
		node_notice(l->node, "nothing is anchored", &e); /* the log is published all the same */
	else
		evm_address_print(account, l->anchor);
}

int ledger_open_keys(struct ledger *l, struct err *e)
{
	struct node *n = l->node;
	char dir[4096], name[NOTE_NAME_MAX + 1], *secret;
	const struct key *log = &l->ring.log[0];
	int rc;

	if (snprintf(dir, sizeof(dir), "%s/keys", n->state_dir) >= (int)sizeof(dir))
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make '%.200s'", dir);
	secret = key_passphrase();
	make_origin(n, name);
	rc = open_role(l, WIRE__KEY_SET__ROLE__LOG, name, secret, e);
	if (rc == 0 && n->config.origin[0] && strcmp(log->pub.name, n->config.origin) != 0) {
		(void)err_set(e, ERR_EXISTS, "the log is '%.90s', and config.yaml says '%.90s'",
		        log->pub.name, n->config.origin);
		rc = err_hint(e, "a log keeps its origin for life: put the old one back");
	}
	if (rc == 0 && snprintf(name, sizeof(name), "%s/node", log->pub.name) >= (int)sizeof(name))
		rc = err_set(e, ERR_INVALID, "the log's origin is too long");
	if (rc == 0)
		rc = open_role(l, WIRE__KEY_SET__ROLE__NODE, name, secret, e);
	if (rc == 0)
		open_account(l, dir, secret);
	key_passphrase_forget(secret);
	return rc;
}

void ledger_forget_keys(struct ledger *l)
{
	for (unsigned i = 0; i < l->ring.logs; i++)
		key_forget(&l->ring.log[i]);
	for (unsigned i = 0; i < l->ring.nodes; i++)
		key_forget(&l->ring.node[i]);
}

/* ---- who signs ---- */

static const struct key *key_of(struct ledger *l, Wire__KeySet__Role role, const char *vkey)
{
	unsigned *n;
	struct key *ring = ring_of(l, role, &n);

	for (unsigned i = 0; i < *n; i++) {
		char own[NOTE_VKEY_MAX];

		note_key_print(&ring[i].pub, own);
		if (strcmp(own, vkey) == 0)
			return &ring[i];
	}
	return NULL;
}

const struct key *ledger_node_key(const struct ledger *l)
{
	const struct keyset_key *k = keyset_node(&l->set);

	return k ? key_of((struct ledger *)(uintptr_t)l, WIRE__KEY_SET__ROLE__NODE, k->vkey) : NULL;
}

static int no_ledger(struct err *e)
{
	(void)err_set(e, ERR_CLOSED, "this node signs nothing: it only looks, or its ledger is off");
	return err_hint(e, "'osier up' starts a node, 'osier doctor' says what is wrong with one");
}

int ledger_sign(
        struct node *n, const void *msg, size_t len, uint8_t sig[64], struct note_key *out, struct err *e)
{
	struct ledger *l = n->ledger;

	if (!l || l->closing || !l->store || !ledger_node_key(l))
		return no_ledger(e);
	ed25519_sign(ledger_node_key(l)->seed, msg, len, sig);
	*out = ledger_node_key(l)->pub;
	return 0;
}

int ledger_sign_by(
        struct node *n, const uint8_t key[32], const void *msg, size_t len, uint8_t sig[64], struct err *e)
{
	const struct ledger *l = n->ledger;

	if (!l || l->closing || !l->store)
		return no_ledger(e);
	for (unsigned i = 0; i < l->ring.nodes; i++) {
		if (memcmp(l->ring.node[i].pub.key, key, 32) != 0)
			continue;
		ed25519_sign(l->ring.node[i].seed, msg, len, sig);
		return 0;
	}
	return err_set(e, ERR_NOTFOUND, "the file of an earlier key of this node is not here");
}

int ledger_log_keys(struct node *n, struct policy *p, struct err *e)
{
	const struct keyset_key *may[KEYSET_SIGNERS];
	struct ledger *l = n->ledger;
	unsigned count;

	if (!l || l->closing || !l->store)
		return no_ledger(e);
	count = keyset_signers(&l->set, may);
	for (unsigned i = 0; i < count; i++)
		if (note_key_parse(may[i]->vkey, strlen(may[i]->vkey), &p->log[p->logs].key, NULL) == 0)
			p->logs++;
	return p->logs ? 0 : no_ledger(e);
}

bool ledger_had_log_key(const struct node *n, const char *vkey)
{
	return n->ledger && keyset_find(&n->ledger->set, WIRE__KEY_SET__ROLE__LOG, vkey) != NULL;
}

void ledger_vkey(const struct node *n, char out[NOTE_VKEY_MAX])
{
	const struct keyset_key *may[KEYSET_SIGNERS];

	if (keyset_signers(&n->ledger->set, may))
		(void)snprintf(out, NOTE_VKEY_MAX, "%s", may[0]->vkey);
	else
		note_key_print(&n->ledger->ring.log[0].pub, out);
}

/* ---- entries ---- */

static void tell(struct ledger *l, Wire__KeySet__Role role, Wire__KeySet__State state, const char *vkey,
        const char *reason, const Wire__Principal *by)
{
	Wire__KeySet m = WIRE__KEY_SET__INIT;
	struct command cmd = {.kind = CMD_KEY_SET, .by = by, .u.key_set = &m};

	m.role = role;
	m.state = state;
	m.vkey = (char *)(uintptr_t)vkey;
	m.reason = (char *)(uintptr_t)reason;
	round_command(l->node, &cmd, NULL, 0, NULL);
	keyset_fold(&l->set, l->node->size - 1, role, state, vkey, reason);
}

static void tell_new(struct ledger *l, Wire__KeySet__Role role, const char *vkey)
{
	if (*vkey && !keyset_find(&l->set, role, vkey))
		tell(l, role, WIRE__KEY_SET__STATE__ADDED, vkey, "made by the node", NULL);
}

void ledger_tell_witness(struct node *n)
{
	char vkey[NOTE_VKEY_MAX];

	if (!n->ledger || n->ledger->closing || !n->ledger->keys_told || !n->witness)
		return; /* ledger_tell_keys() will */
	witness_vkey(n->witness, vkey);
	tell_new(n->ledger, WIRE__KEY_SET__ROLE__WITNESS, vkey);
}

/* A log that knows no key of this role yet is told the first. */
static void tell_first(struct ledger *l, Wire__KeySet__Role role)
{
	unsigned *n;
	const struct key *ring = ring_of(l, role, &n);
	char vkey[NOTE_VKEY_MAX];

	for (unsigned i = 0; i < l->set.n; i++)
		if (l->set.key[i].role == role)
			return;
	note_key_print(&ring[0].pub, vkey);
	tell_new(l, role, vkey);
}

/* A kill may have come between the entries of a rotation: of a node's keys only the last speaks. */
static void retire_others(struct ledger *l, const Wire__Principal *by)
{
	const struct keyset_key *now = keyset_node(&l->set);

	const struct keyset_key *account = keyset_anchor(&l->set);

	for (unsigned i = 0; i < l->set.n; i++) {
		const struct keyset_key *k = &l->set.key[i];

		if (k->state != WIRE__KEY_SET__STATE__ADDED)
			continue;
		if (k->role == WIRE__KEY_SET__ROLE__NODE && k != now)
			tell(l, k->role, WIRE__KEY_SET__STATE__RETIRED, k->vkey, "a new key took over", by);
		if (k->role == WIRE__KEY_SET__ROLE__ANCHOR && k != account)
			tell(l, k->role, WIRE__KEY_SET__STATE__RETIRED, k->vkey, "a new account took over",
			        by);
	}
}

void ledger_tell_keys(struct ledger *l)
{
	char vkey[NOTE_VKEY_MAX];

	if (l->published < l->found || logstore_keyset(l->store, &l->set, NULL) < 0)
		return;
	l->keys_told = true;
	tell_first(l, WIRE__KEY_SET__ROLE__LOG);
	tell_first(l, WIRE__KEY_SET__ROLE__NODE);
	if (!ledger_node_key(l)) { /* the file is lost of the one that spoke last */
		note_key_print(&l->ring.node[l->ring.nodes - 1].pub, vkey);
		tell_new(l, WIRE__KEY_SET__ROLE__NODE, vkey);
	}
	retire_others(l, NULL);
	if (l->node->witness) {
		witness_vkey(l->node->witness, vkey);
		tell_new(l, WIRE__KEY_SET__ROLE__WITNESS, vkey);
	}
	tell_new(l, WIRE__KEY_SET__ROLE__ANCHOR, l->anchor);
	if (l->anchor[0] && keyset_anchor(&l->set)) /* a kill came before the files got their names */
		(void)snprintf(l->anchor, sizeof(l->anchor), "%.*s", (int)sizeof(l->anchor) - 1,
		        keyset_anchor(&l->set)->vkey);
	l->tidy_size = l->node->size;
	/* Who waits for a publishing may want to know who signed: that is part of it. */
	for (struct ledger_wait *w = l->waits; w; w = w->next)
		w->size = l->node->size;
}

/* ---- names of files ---- */

/* Is the key of this file one that the log knows as the newest of its role? */
static bool is_newest(struct ledger *l, Wire__KeySet__Role role, int number)
{
	const struct keyset_key *last = NULL;
	char path[PATH_ROOM], vkey[NOTE_VKEY_MAX];
	struct note_key k;
	uint8_t account[20];
	bool sealed;

	for (unsigned i = 0; i < l->set.n; i++)
		if (l->set.key[i].role == role)
			last = &l->set.key[i];
	file_path(l, role, number, path);
	if (role == WIRE__KEY_SET__ROLE__ANCHOR) {
		if (!last || ethkey_load_account(path, account, &sealed, NULL) < 0)
			return false;
		evm_address_print(account, vkey);
		return strcmp(vkey, last->vkey) == 0;
	}
	if (!last || key_load_public(path, &k, &sealed, NULL) < 0)
		return false;
	note_key_print(&k, vkey);
	return strcmp(vkey, last->vkey) == 0;
}

static int tidy_role(struct ledger *l, Wire__KeySet__Role role, struct err *e)
{
	char from[PATH_ROOM], to[PATH_ROOM], dir[PATH_ROOM];
	int number = 1;

	if (!is_newest(l, role, -1))
		return 0;
	file_path(l, role, 0, from);
	if (access(from, F_OK) == 0) {
		do
			file_path(l, role, number++, to);
		while (access(to, F_OK) == 0);
		if (rename(from, to) < 0)
			return err_sys(e, "cannot rename '%.150s'", from);
	}
	file_path(l, role, -1, from);
	file_path(l, role, 0, to);
	if (rename(from, to) < 0)
		return err_sys(e, "cannot rename '%.150s'", from);
	(void)snprintf(dir, sizeof(dir), "%s/keys", l->node->state_dir);
	return disk_sync_folder(dir, e);
}

void ledger_tidy_keys(struct ledger *l)
{
	struct err e;

	l->tidy_size = 0;
	if (tidy_role(l, WIRE__KEY_SET__ROLE__LOG, &e) < 0 ||
	        tidy_role(l, WIRE__KEY_SET__ROLE__NODE, &e) < 0 ||
	        tidy_role(l, WIRE__KEY_SET__ROLE__ANCHOR, &e) < 0)
		(void)fprintf(stderr, "osier: the files of keys keep their names: %s\n", e.msg);
}

/* ---- rotation and revocation ---- */

static int ready(struct ledger *l, struct err *e)
{
	if (!l || l->closing || !l->store)
		return no_ledger(e);
	if (l->node->stopping || l->node->broken)
		return err_set(e, ERR_CLOSED, "the node is stopping");
	if (journal_full(l->node->journal))
		return err_set(e, ERR_FULL, "the disk is full: nothing can be written down");
	if (l->failed)
		return err_set(e, ERR_CLOSED, "the ledger is not published: %.180s", l->why.msg);
	if (l->keys_told)
		return 0;
	(void)err_set(e, ERR_CLOSED, "the log is still being read");
	return err_hint(e, "try again in a second or two");
}

/* The new key: from the file that a rotation left which was cut short, else made. Not in the ring yet. */
static int new_key(struct ledger *l, Wire__KeySet__Role role, struct key *out, struct err *e)
{
	unsigned *n;
	const struct key *ring = ring_of(l, role, &n);
	char path[PATH_ROOM], vkey[NOTE_VKEY_MAX], *secret = key_passphrase();
	int rc;

	file_path(l, role, -1, path);
	if (access(path, F_OK) < 0) {
		rc = key_create(path, ring[0].pub.name, NOTE_ED25519, secret, out, e);
	} else {
		rc = key_load(path, secret, out, e);
		note_key_print(&out->pub, vkey);
		if (rc == 0 && keyset_find(&l->set, role, vkey)) {
			(void)err_set(e, ERR_EXISTS, "the last rotation's file has not got its name yet");
			rc = err_hint(e, "try again in a second or two");
		}
	}
	key_passphrase_forget(secret);
	return rc;
}

/* Something that the account has sent may be under way: only it can send it once more. */
static bool anchor_under_way(const struct ledger *l)
{
	char path[PATH_ROOM];
	struct dirent *d;
	bool found = false;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/anchors", l->node->state_dir);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		size_t n = strlen(d->d_name);

		found |= n > 5 && strcmp(d->d_name + n - 5, ".save") == 0;
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

/* A new account, in a file from a rotation that was cut short or a new one; the log is told of it, and that the one before is over. */
static int rotate_account(struct ledger *l, const Wire__Principal *by, struct err *e)
{
	char path[PATH_ROOM], text[EVM_ADDRESS_TEXT], *secret;
	uint8_t account[20];
	bool sealed;
	int rc;

	if (!l->anchor[0]) {
		(void)err_set(e, ERR_NOTFOUND, "this node has no account: it anchors on no chain");
		return err_hint(e, "ledger.anchors in config.yaml; docs/ledger.md tells how");
	}
	if (anchor_under_way(l)) {
		(void)err_set(e, ERR_EXISTS, "an anchor of the account is on its way");
		return err_hint(e, "wait until it is final (osier ledger anchor list), or give it up: move "
		                   "STATE/anchors/*.save away");
	}
	if (l->set.n == KEYSET_MAX)
		return err_set(e, ERR_FULL, "this log has had as many keys as it remembers");
	file_path(l, WIRE__KEY_SET__ROLE__ANCHOR, -1, path);
	secret = key_passphrase();
	rc = access(path, F_OK) == 0 ? ethkey_load_account(path, account, &sealed, e)
	                             : ethkey_create(path, secret, account, e);
	key_passphrase_forget(secret);
	if (rc < 0)
		return -1;
	evm_address_print(account, text);
	if (keyset_find(&l->set, WIRE__KEY_SET__ROLE__ANCHOR, text)) {
		(void)err_set(e, ERR_EXISTS, "the last rotation's file has not got its name yet");
		return err_hint(e, "try again in a second or two");
	}
	tell(l, WIRE__KEY_SET__ROLE__ANCHOR, WIRE__KEY_SET__STATE__ADDED, text, "rotated", by);
	retire_others(l, by);
	(void)snprintf(l->anchor, sizeof(l->anchor), "%s", text);
	return 0;
}

int ledger_rotate(struct node *n, Wire__KeySet__Role role, const Wire__Principal *by, ledger_fn fn, void *ctx,
        struct err *e)
{
	const struct keyset_key *may[KEYSET_SIGNERS];
	struct ledger *l = n->ledger;
	char vkey[NOTE_VKEY_MAX];
	struct key k, *ring;
	unsigned *count;

	if (ready(l, e) < 0)
		return -1;
	if (role == WIRE__KEY_SET__ROLE__ANCHOR) {
		if (rotate_account(l, by, e) < 0)
			return -1;
		l->tidy_size = n->size;
		ledger_flush_to(n, n->size, fn, ctx);
		return 0;
	}
	ring = ring_of(l, role, &count);
	if (role == WIRE__KEY_SET__ROLE__LOG && keyset_signers(&l->set, may) == KEYSET_SIGNERS) {
		(void)err_set(e, ERR_FULL, "%u keys sign the log already", KEYSET_SIGNERS);
		return err_hint(e, "revoke an old one first: osier ledger keys revoke ID --reason TEXT");
	}
	if (*count == RING_MAX || l->set.n == KEYSET_MAX)
		return err_set(e, ERR_FULL, "this log has had as many keys as it remembers");
	if (new_key(l, role, &k, e) < 0)
		return -1;
	note_key_print(&k.pub, vkey);
	if (!key_of(l, role, vkey))
		ring[(*count)++] = k;
	key_forget(&k);
	tell(l, role, WIRE__KEY_SET__STATE__ADDED, vkey, "rotated", by);
	if (role == WIRE__KEY_SET__ROLE__NODE)
		retire_others(l, by);
	l->tidy_size = n->size;
	if (role == WIRE__KEY_SET__ROLE__NODE)
		parent_rekey(n);
	ledger_flush_to(n, n->size, fn, ctx);
	return 0;
}

int ledger_revoke(struct node *n, const char *key, const char *reason, const Wire__Principal *by,
        ledger_fn fn, void *ctx, struct err *e)
{
	const struct keyset_key *k = NULL;
	struct ledger *l = n->ledger;

	if (ready(l, e) < 0 || keyset_named(&l->set, key, &k, e) < 0 || keyset_may_revoke(&l->set, k, e) < 0)
		return -1;
	tell(l, k->role, WIRE__KEY_SET__STATE__REVOKED, k->vkey, reason, by);
	ledger_flush_to(n, n->size, fn, ctx);
	return 0;
}
