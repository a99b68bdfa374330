/* SPDX-License-Identifier: Apache-2.0 */
/* anchor_job - see anchor_job.h. */
#include "messenger/anchor_job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/check.h"
#include "core/note.h"
#include "io/anchor.h"
#include "io/anchored.h"
#include "io/clock.h"
#include "io/disk.h"
#include "io/ethkey.h"
#include "io/keys.h"
#include "io/sha256.h"

#define MAGIC      "osier anchor v1\n"
#define SAVE_MAX   (sizeof(MAGIC) + 24 + LOG_NOTE_MAX + ANCHOR_SAVE_MAX)
#define LOCK_MS    200
#define BUSY_LOOKS 5
#define REPORT_MS  1000
#define REPORTS    30 /* tries to tell the engine the end */

struct work {
	const struct anchor_job *j;
	char dir[4096];
	uint8_t contract[20], account[20];
	bool deploy;
	char note[LOG_NOTE_MAX];
	size_t note_n;
	uint64_t size;
	uint8_t saved[ANCHOR_SAVE_MAX];
	size_t saved_n;
	char *told;       /* the last report, as text */
	uint64_t begun_s; /* since 1970, by this machine; 0: in a former life */
};

static int path_of(const struct work *w, const char *what, char out[4200], struct err *e)
{
	int n = snprintf(out, 4200, "%s/%" PRIu64 ".%s", w->dir, w->j->chain->chain.chain_id, what);

	return n < 4200 ? 0 : err_set(e, ERR_INVALID, "the state folder's name is too long");
}

void anchor_place(uint64_t chain_id, const uint8_t contract[20], char out[ANCHOR_PLACE_MAX])
{
	char text[EVM_ADDRESS_TEXT];

	evm_address_print(contract, text);
	(void)snprintf(out, ANCHOR_PLACE_MAX, "%" PRIu64 "/%s", chain_id, text);
}

/* ---- files ---- */

static int open_folder(struct work *w, struct err *e)
{
	if (snprintf(w->dir, sizeof(w->dir), "%s/anchors", w->j->state_dir) >= (int)sizeof(w->dir))
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	return mkdir(w->dir, 0700) < 0 && errno != EEXIST ? err_sys(e, "cannot make '%.200s'", w->dir) : 0;
}

static int write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -1;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* A file as a whole or not at all, and durable. */
static int replace_file(const struct work *w, const char *what, const void *p, size_t n, struct err *e)
{
	char path[4200], fresh[4208];
	int fd, rc;

	if (path_of(w, what, path, e) < 0)
		return -1;
	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "cannot write '%.200s'", fresh);
	rc = write_all(fd, p, n) < 0 || fsync(fd) < 0 ? err_sys(e, "cannot write '%.200s'", fresh) : 0;
	(void)close(fd);
	if (rc == 0 && rename(fresh, path) < 0)
		rc = err_sys(e, "cannot rename '%.200s'", fresh);
	return rc < 0 ? -1 : disk_sync_folder(w->dir, e);
}

/* At most max bytes of a file; *out_n 0: there is none. */
static int read_file(
        const struct work *w, const char *what, void *out, size_t max, size_t *out_n, struct err *e)
{
	char path[4200];
	ssize_t n;
	int fd;

	*out_n = 0;
	if (path_of(w, what, path, e) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "cannot open '%.200s'", path);
	n = read(fd, out, max);
	(void)close(fd);
	if (n < 0)
		return err_sys(e, "cannot read '%.200s'", path);
	*out_n = (size_t)n;
	return 0;
}

static int remove_save(const struct work *w, struct err *e)
{
	char path[4200];

	if (path_of(w, "save", path, e) < 0)
		return -1;
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, "cannot remove '%.200s'", path);
	return disk_sync_folder(w->dir, e);
}

static bool stopped_within(int stop_fd, int ms)
{
	struct pollfd p = {.fd = stop_fd, .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

/* One process at a time; the lock goes with the descriptor. */
static int take_lock(const struct work *w, struct err *e)
{
	unsigned looks = 0;
	char path[4200];
	int fd;

	if (path_of(w, "lock", path, e) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "cannot open '%.200s'", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			(void)err_sys(e, "cannot lock '%.200s'", path);
			(void)close(fd);
			return -1;
		}
		if (looks++ % BUSY_LOOKS == 0 && w->j->busy)
			w->j->busy(w->j->ctx);
		if (stopped_within(w->j->stop_fd, LOCK_MS)) {
			(void)close(fd);
			return err_set(e, ERR_CLOSED, "stopped while another process anchors");
		}
	}
	return fd;
}

/* ---- what is kept ---- */

static int save(void *ctx, const uint8_t *bytes, size_t n, struct err *e)
{
	struct work *w = ctx;
	char *out = malloc(SAVE_MAX);
	size_t at;
	int rc;

	CHECK(out);
	at = (size_t)snprintf(out, SAVE_MAX, MAGIC "%zu\n", w->note_n);
	memcpy(out + at, w->note, w->note_n);
	at += w->note_n;
	CHECK(at + n <= SAVE_MAX);
	memcpy(out + at, bytes, n);
	rc = replace_file(w, "save", out, at + n, e);
	free(out);
	return rc;
}

static int damaged(const struct work *w, struct err *e)
{
	(void)err_set(
	        e, ERR_CORRUPT, "'%.150s/%" PRIu64 ".save' is damaged", w->dir, w->j->chain->chain.chain_id);
	return err_hint(e, "look at the account on the chain; then remove the file to begin anew");
}

/* saved_n 0: nothing is on its way. */
static int load(struct work *w, struct err *e)
{
	char *in = malloc(SAVE_MAX + 1), *end;
	size_t n = 0, at = sizeof(MAGIC) - 1;
	unsigned long long note_n = 0;
	int rc = -1;

	CHECK(in);
	w->saved_n = w->note_n = 0;
	if (read_file(w, "save", in, SAVE_MAX, &n, e) < 0)
		goto out;
	rc = 0;
	if (n == 0)
		goto out;
	in[n] = '\0';
	rc = damaged(w, e);
	if (n <= at || memcmp(in, MAGIC, at) != 0 || in[at] < '0' || in[at] > '9')
		goto out;
	note_n = strtoull(in + at, &end, 10);
	at = (size_t)(end - in) + 1;
	if (*end != '\n' || note_n >= sizeof(w->note) || note_n >= n - at ||
	        n - at - note_n > sizeof(w->saved))
		goto out;
	memcpy(w->note, in + at, note_n);
	w->note[note_n] = '\0';
	w->note_n = (size_t)note_n;
	w->saved_n = n - at - w->note_n;
	memcpy(w->saved, in + at + w->note_n, w->saved_n);
	rc = 0;
out:
	free(in);
	return rc;
}

static int key_path(const char *state_dir, char out[4200], struct err *e)
{
	if (snprintf(out, 4200, "%s/keys", state_dir) >= 4100)
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	if (mkdir(out, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make '%.200s'", out);
	(void)snprintf(out, 4200, "%s/keys/anchor.key", state_dir);
	return 0;
}

int anchor_job_account(const char *state_dir, uint8_t out[20], struct err *e)
{
	char path[4200], *secret;
	int rc;

	if (key_path(state_dir, path, e) < 0)
		return -1;
	secret = key_passphrase();
	rc = ethkey_open_account(path, secret, out, e);
	key_passphrase_forget(secret);
	return rc;
}

static int load_secret(const struct work *w, uint8_t out[32], struct err *e)
{
	char path[4200], *secret;
	int rc;

	if (key_path(w->j->state_dir, path, e) < 0)
		return -1;
	secret = key_passphrase();
	rc = ethkey_load(path, secret, out, e);
	key_passphrase_forget(secret);
	return rc;
}

static int find_contract(const struct work *w, uint8_t out[20], struct err *e)
{
	char text[64];
	size_t n = 0;

	if (w->j->chain->has_contract) {
		memcpy(out, w->j->chain->chain.contract, 20);
		return 0;
	}
	if (read_file(w, "contract", text, sizeof(text), &n, e) < 0)
		return -1;
	if (n == 0) {
		(void)err_set(e, ERR_NOTFOUND, "no contract is known on chain %" PRIu64,
		        w->j->chain->chain.chain_id);
		return err_hint(
		        e, "'osier ledger anchor deploy' puts it there, once; or name it in config.yaml");
	}
	return evm_address_parse(text, strcspn(text, "\n") < n ? strcspn(text, "\n") : n, out, e);
}

/* ---- telling the engine ---- */

static enum anchored_state state_of(const struct anchor_view *v)
{
	switch (v->outcome) {
	case ANCHOR_DONE:
		return ANCHORED_FINAL;
	case ANCHOR_ALREADY:
		return ANCHORED_ALREADY;
	case ANCHOR_FAILED:
		return ANCHORED_FAILED;
	case ANCHOR_OPEN:
		break;
	}
	if (v->mined.is)
		return ANCHORED_MINED;
	return v->reorganised ? ANCHORED_LOST : v->tries > 1 ? ANCHORED_REPLACED : ANCHORED_SENT;
}

static void set_data(json_t *o, const char *key, const uint8_t *p, size_t n)
{
	char text[2 + 2 * 32 + 1];

	(void)evm_data_print(p, n, text);
	json_object_set_new(o, key, json_string(text));
}

static void set_u64(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)(v > INT64_MAX ? INT64_MAX : v)));
}

static json_t *details(const struct work *w, const struct anchor_view *v)
{
	json_t *o = json_object();
	char text[EVM_ADDRESS_TEXT];

	CHECK(o);
	set_u64(o, "chain_id", w->j->chain->chain.chain_id);
	evm_address_print(w->contract, text);
	json_object_set_new(o, "contract", json_string(text));
	evm_address_print(w->account, text);
	json_object_set_new(o, "account", json_string(text));
	set_u64(o, "tries", v->tries);
	set_u64(o, "reorganised", v->reorganised);
	if (w->begun_s)
		set_u64(o, "begun", w->begun_s);
	if (v->tries) {
		set_u64(o, "nonce", v->nonce);
		set_data(o, "transaction", v->hash, 32);
	}
	if (v->mined.is) {
		set_u64(o, "block", v->mined.block);
		set_data(o, "block_hash", v->mined.block_hash, 32);
		set_u64(o, "gas", v->mined.gas_used);
		if (v->mined.time_s)
			set_u64(o, "block_time", v->mined.time_s);
		if (v->mined.price)
			set_u64(o, "price", v->mined.price);
	}
	if (v->troubled)
		json_object_set_new(o, "trouble", json_string(v->why.msg));
	return o;
}

/* Tells what is new. < 0: the engine did not take it. */
static int report(struct work *w, const struct anchor_view *v, struct err *e)
{
	char place[ANCHOR_PLACE_MAX], proof[BASE64_CHARS(EVM_TX_MAX) + 1], *text;
	json_t *body, *answer = NULL;
	int rc = 0;

	if (w->deploy || (v->tries == 0 && v->outcome != ANCHOR_ALREADY))
		return 0;
	anchor_place(w->j->chain->chain.chain_id, w->contract, place);
	(void)base64_write(v->raw, v->raw_n, proof);
	body = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "kind", "chain", "state",
	        anchored_state_name(state_of(v)), "place", place, "note", w->note, "proof", proof, "details",
	        details(w, v));
	text = body ? json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	CHECK(text);
	if (!w->told || strcmp(w->told, text) != 0)
		rc = w->j->ask(w->j->ctx, "POST", "/v1/ledger/anchors", body, &answer, e);
	else
		answer = NULL;
	if (rc == 0) {
		free(w->told);
		w->told = text;
	} else {
		free(text);
	}
	json_decref(answer);
	json_decref(body);
	return rc;
}

static void look(void *ctx, const struct anchor_view *v)
{
	struct work *w = ctx;

	(void)report(w, v, NULL); /* what the engine misses now it is told later */
	if (w->j->tell)
		w->j->tell(w->j->ctx, v, w->size);
}

/* The end is told until it is taken: what is kept can go only then. */
static int report_end(struct work *w, const struct anchor_view *v, struct err *e)
{
	for (int i = 0; i < REPORTS; i++) {
		if (report(w, v, e) == 0)
			return 0;
		if ((e->code != ERR_CLOSED && e->code != ERR_TIMEOUT && e->code != ERR_SYSTEM) ||
		        stopped_within(w->j->stop_fd, REPORT_MS))
			break;
	}
	return err_wrap(e, "the anchor is on the chain, and the node was not told");
}

/* ---- running ---- */

static int head_of_note(struct work *w, struct anchor_target *out, struct err *e)
{
	struct checkpoint c;
	struct note note;

	if (note_parse(w->note, w->note_n, &note, e) < 0 ||
	        checkpoint_parse(note.text, note.text_n, &c, e) < 0)
		return -1;
	*out = (struct anchor_target){.what = ANCHOR_HEAD, .size = c.size};
	sha256_of(c.origin, c.origin_n, out->origin);
	memcpy(out->root, c.root, 32);
	w->size = c.size;
	return 0;
}

/* The newest head, unless this chain has it. */
static int newest_head(struct work *w, struct anchor_target *out, bool *out_new, struct err *e)
{
	char target[200], place[ANCHOR_PLACE_MAX];
	const json_t *last;
	const char *note, *state;
	json_t *head = NULL, *list = NULL;
	int rc = -1;

	anchor_place(w->j->chain->chain.chain_id, w->contract, place);
	(void)snprintf(target, sizeof(target), "/v1/ledger/anchors?limit=1&kind=chain&place=%s", place);
	if (w->j->ask(w->j->ctx, "GET", "/v1/ledger", NULL, &head, e) < 0 ||
	        w->j->ask(w->j->ctx, "GET", target, NULL, &list, e) < 0)
		goto out;
	note = json_string_value(json_object_get(head, "note"));
	if (!note || strlen(note) >= sizeof(w->note)) {
		(void)err_set(e, ERR_CORRUPT, "the node's answer has no signed head");
		goto out;
	}
	w->note_n = strlen(note);
	memcpy(w->note, note, w->note_n + 1);
	if (head_of_note(w, out, e) < 0)
		goto out;
	last = json_array_get(json_object_get(list, "anchors"), 0);
	state = json_string_value(json_object_get(last, "state"));
	*out_new = !(state && anchored_state_of(state) >= 0 &&
	             anchored_ended((enum anchored_state)anchored_state_of(state)) &&
	             json_integer_value(json_object_get(last, "size")) >= (json_int_t)out->size);
	rc = 0;
out:
	json_decref(head);
	json_decref(list);
	return rc;
}

static int finish(struct work *w, const struct anchor_view *v, struct err *e)
{
	char address[EVM_ADDRESS_TEXT], text[EVM_ADDRESS_TEXT + 1];

	if (w->deploy && v->outcome == ANCHOR_DONE) {
		evm_address_print(v->contract, address);
		(void)snprintf(text, sizeof(text), "%s\n", address);
		if (replace_file(w, "contract", text, strlen(text), e) < 0)
			return -1;
	} else if (!w->deploy && report_end(w, v, e) < 0) {
		return -1;
	}
	return remove_save(w, e);
}

/* With the lock held. */
static int run(struct work *w, const struct anchor_target *target, struct anchor_job_end *out, struct err *e)
{
	const struct config_anchor *c = w->j->chain;
	uint8_t secret[32];
	struct anchor_options o = {.chain = c->chain,
	        .urls = (const char *const *)c->urls,
	        .n_urls = (unsigned)c->n_urls,
	        .secret = secret,
	        .timeout_ns = c->timeout_ns,
	        .ca_file = c->ca,
	        .stop_fd = w->j->stop_fd,
	        .save = save,
	        .tell = look,
	        .ctx = w};
	struct err why;
	int rc;

	memcpy(o.chain.contract, w->contract, 20);
	if (load_secret(w, secret, e) < 0)
		return -1;
	rc = anchor_run(&o, target, w->saved, w->saved_n, &out->view, e);
	sodium_memzero(secret, sizeof(secret));
	out->size = w->size;
	if (rc == 0)
		return finish(w, &out->view, e);
	if (out->view.outcome == ANCHOR_FAILED)
		(void)finish(w, &out->view, &why);
	return -1;
}

static int begin(struct work *w, const struct anchor_job *j, bool deploy, struct err *e)
{
	int lock;

	w->j = j;
	w->deploy = deploy;
	CHECK(j->chain->kind == CONFIG_CHAIN);
	if (open_folder(w, e) < 0 || anchor_job_account(j->state_dir, w->account, e) < 0)
		return -1;
	lock = take_lock(w, e);
	if (lock < 0 || load(w, e) == 0)
		return lock;
	(void)close(lock);
	return -1;
}

int anchor_job_head(const struct anchor_job *j, struct anchor_job_end *out, struct err *e)
{
	struct work *w = calloc(1, sizeof(*w));
	struct anchor_target target = {0};
	bool fresh = true;
	int lock, rc = -1;

	CHECK(w);
	memset(out, 0, sizeof(*out));
	lock = begin(w, j, false, e);
	if (lock < 0)
		goto out;
	if (w->saved_n && !w->note_n) {
		(void)err_set(e, ERR_EXISTS, "a contract is on its way to chain %" PRIu64,
		        j->chain->chain.chain_id);
		(void)err_hint(e, "'osier ledger anchor deploy' follows it to its end");
	} else if (find_contract(w, w->contract, e) == 0 &&
	           (w->saved_n ? head_of_note(w, &target, e) : newest_head(w, &target, &fresh, e)) == 0) {
		out->nothing_new = !fresh;
		w->begun_s = w->saved_n ? 0 : clock_wall_ns() / 1000000000u;
		out->size = w->size;
		rc = fresh ? run(w, &target, out, e) : 0;
	}
	(void)close(lock);
out:
	free(w->told);
	free(w);
	return rc;
}

int anchor_job_deploy(const struct anchor_job *j, struct anchor_job_end *out, struct err *e)
{
	struct anchor_target target = {.what = ANCHOR_DEPLOY};
	struct work *w = calloc(1, sizeof(*w));
	char text[EVM_ADDRESS_TEXT];
	int lock, rc = -1;

	CHECK(w);
	memset(out, 0, sizeof(*out));
	lock = begin(w, j, true, e);
	if (lock < 0)
		goto out;
	if (w->saved_n && w->note_n) {
		(void)err_set(
		        e, ERR_EXISTS, "an anchor is on its way to chain %" PRIu64, j->chain->chain.chain_id);
		(void)err_hint(e, "'osier ledger anchor' follows it to its end");
	} else if (!w->saved_n && find_contract(w, w->contract, e) == 0) {
		evm_address_print(w->contract, text);
		(void)err_set(e, ERR_EXISTS, "the contract on chain %" PRIu64 " is %s already",
		        j->chain->chain.chain_id, text);
	} else if (w->saved_n || e->code == ERR_NOTFOUND) {
		rc = run(w, &target, out, e);
	}
	(void)close(lock);
out:
	free(w);
	return rc;
}

int anchor_job_contract(const struct anchor_job *j, uint8_t out[20], struct err *e)
{
	struct work *w = calloc(1, sizeof(*w));
	int rc;

	CHECK(w);
	w->j = j;
	rc = open_folder(w, e) < 0 ? -1 : find_contract(w, out, e);
	free(w);
	return rc;
}

bool anchor_job_open(const struct anchor_job *j)
{
	struct work *w = calloc(1, sizeof(*w));
	bool open = false;
	char path[4200];

	CHECK(w);
	w->j = j;
	if (open_folder(w, NULL) == 0 && path_of(w, "save", path, NULL) == 0)
		open = access(path, F_OK) == 0;
	free(w);
	return open;
}
