/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_verify - `osier verify`: check a receipt offline, with nothing but the file and whom to trust. */
#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/show.h"
#include "cli/verify.h"
#include "cli/verify_anchors.h"
#include "core/params.h"
#include "core/receipt.h"
#include "io/ed25519.h"
#include "io/growing.h"
#include "io/sha256.h"
#include "wire/entry.h"

static const struct option_def options[] = {
        {'p', "policy", "FILE", "whom to trust: logs, witnesses, how many of them (a receipt needs it)",
                COMPLETE_FILE, NULL},
        {'o', "output", "FILE", "is this file what the task put out? Compared by its digest", COMPLETE_FILE,
                NULL},
        {'k', "key", "VKEY",
                "the node's key that must have signed an envelope (default: one of the node here)",
                COMPLETE_NOTHING, NULL},
        {0, "chain", "URL", "read its anchor back from this node of the chain; several must agree",
                COMPLETE_NOTHING, NULL},
        {0, "contract", "ADDRESS", "the contract that the anchor must be in", COMPLETE_NOTHING, NULL},
        {0, "account", "ADDRESS", "the account that must have anchored it", COMPLETE_NOTHING, NULL},
        {0, "confirmations", "N", "final is what is N blocks deep (default: what the chain calls final)",
                COMPLETE_NOTHING, NULL},
        {0, "ca", "FILE", "certificates that vouch for authorities of time stamps (PEM)", COMPLETE_FILE,
                NULL},
        {0, "keys", "FILE",
                "the node's keys, of 'osier ledger keys --json': is the receipt's one that was not revoked?",
                COMPLETE_FILE, NULL},
        {0},
};

struct checked {
	struct growing g;
	struct sha256 *sha;
	struct policy policy;
	struct receipt_view r;
	struct verified_heads heads;
	struct text note;
	const char *file_is; /* which output the file is; NULL: none was given */
};

char *verify_file(const char *path, size_t max, size_t *out_n, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st = {0};
	char *bytes = NULL;
	ssize_t got = 0;
	size_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		(void)err_sys(e, "cannot open '%.200s'", path);
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		(void)err_set(e, ERR_INVALID, "'%.150s' is not a file of at most %zu MiB", path, max >> 20);
	else
		bytes = cli_alloc((size_t)st.st_size + 1);
	while (bytes && n < (size_t)st.st_size && (got = read(fd, bytes + n, (size_t)st.st_size - n)) > 0)
		n += (size_t)got;
	if (bytes && got < 0) {
		(void)err_sys(e, "cannot read '%.200s'", path);
		free(bytes);
		bytes = NULL;
	}
	if (fd >= 0)
		(void)close(fd);
	*out_n = n;
	return bytes;
}

int verify_file_digest(const char *path, uint8_t out[32], uint64_t *out_n, struct err *e)
{
	struct sha256 *sha = sha256_new();
	FILE *f = fopen(path, "re");
	char piece[65536];
	size_t n;
	int rc = 0;

	*out_n = 0;
	if (!f) {
		rc = err_sys(e, "cannot open '%.200s'", path);
	} else {
		while ((n = fread(piece, 1, sizeof(piece), f)) > 0) {
			sha256_update(sha, piece, n);
			*out_n += n;
		}
		if (ferror(f))
			rc = err_sys(e, "cannot read '%.200s'", path);
		(void)fclose(f);
	}
	sha256_end(sha, out);
	sha256_free(sha);
	return rc;
}

/* The file in hand must be one of the task's outputs: a valid receipt of another artifact proves nothing about this one. */
static int check_output(struct checked *k, const char *path, struct err *e)
{
	struct receipt_output out;
	uint8_t digest[32];
	uint64_t n;

	if (verify_file_digest(path, digest, &n, e) < 0)
		return -1;
	for (size_t i = 0; receipt_output(&k->r, i, &out); i++) {
		if (out.bytes == n && n > 0 && out.sha256 && memcmp(out.sha256, digest, 32) == 0) {
			k->file_is = out.name;
			return 0;
		}
	}
	(void)err_set(e, ERR_CORRUPT,
	        "the receipt holds, but not for '%.120s': that is none of the task's outputs", path);
	return err_hint(e, "compare the SHA-256 with those that are shown without --output");
}

static const char *level(const struct checked *k)
{
	if (k->heads.anchored)
		return "anchored";
	return k->r.trust.met && k->r.trust.witnesses ? "witnessed" : "committed";
}

/* ---- telling ---- */

/* A template as it was for this task; as it stands when it names the lines of a file that is not here. */
static void template_text(const struct checked *k, struct text *t, const char *template)
{
	const struct params p = {.spec = k->r.job->spec,
	        .step = k->r.lease->step,
	        .task = k->r.task,
	        .job = k->r.job->job,
	        .attempt = k->r.lease->lease,
	        .node = "${node}",
	        .devices = "${devices}"};
	char text[16384];
	int64_t n = template_expand(&p, template, text, sizeof(text), NULL);

	if (n < 0)
		text_add_clean(t, template, strlen(template), "");
	else
		text_add_clean(t, text, (size_t)n, "");
}

static void command_text(const struct checked *k, struct text *t)
{
	const Wire__Step *s = k->r.step;
	const Wire__Variant *v =
	        k->r.lease->variant < s->n_variants ? s->variants[k->r.lease->variant] : NULL;
	const Wire__Command *cmd = v && v->command ? v->command : s->command;

	if (s->worker)
		text_addf(t, "function '%s' of the worker ", s->worker->function);
	if (cmd && cmd->shell && cmd->shell[0])
		template_text(k, t, cmd->shell);
	for (size_t i = 0; cmd && i < cmd->n_argv; i++) {
		text_add(t, i ? " " : "");
		template_text(k, t, cmd->argv[i]);
	}
}

static uint64_t start_ns(const struct checked *k)
{
	return k->r.lease_entry->time_ns + RESULT_COLUMN(k->r.results, start_us, k->r.column) * 1000;
}

static void print_inputs(const struct checked *k)
{
	char hex[SHA256_HEX + 1];

	for (size_t i = 0; i < k->r.step->n_inputs; i++) {
		const Wire__Input *in = k->r.step->inputs[i];

		if (in->blob.len == 32) {
			sha256_hex(in->blob.data, hex);
			show_fieldf(i ? "" : "inputs", "%s, sha256 %s", in->path, hex);
		} else {
			show_fieldf(i ? "" : "inputs", "%s, %s of step '%s'", in->path, in->from_output,
			        in->from_step);
		}
	}
}

static void print_outputs(const struct checked *k)
{
	struct receipt_output out;
	char hex[SHA256_HEX + 1], size[32];
	bool any = false;

	for (size_t i = 0; receipt_output(&k->r, i, &out); i++) {
		if (!out.bytes || !out.sha256)
			continue;
		sha256_hex(out.sha256, hex);
		show_fieldf(any ? "" : "put out", "%s, %s%s, sha256 %s", out.name,
		        size_text(out.bytes, size, sizeof(size)), out.truncated ? " (cut at its cap)" : "",
		        hex);
		any = true;
	}
	if (!any)
		show_field("put out", "nothing");
}

/* Of a verified task: who else came to the same. */
static void print_agreed(const struct checked *k)
{
	const struct receipt_view *r = &k->r;

	if (!r->step->verify || r->step->verify->replicas < 2)
		return;
	if (r->n_agreed == 0)
		show_field("verified", r->step->verify->comparator || !r->step->verify->adaptive
		                               ? "by no other attempt with the same bytes"
		                               : "no: its node was trusted, and this result not checked");
	for (size_t i = 0; i < r->n_agreed; i++)
		show_fieldf(i ? "" : "verified",
		        "replica %u, under lease %llu on node %u, came to the same: entry %llu",
		        r->agreed[i].replica, (unsigned long long)r->agreed[i].lease, r->agreed[i].node,
		        (unsigned long long)r->agreed[i].entry);
	if (receipt_hidden(r))
		show_fieldf("",
		        "all of them had committed to their answers by entry %llu, before the first was told "
		        "in "
		        "entry %llu",
		        (unsigned long long)r->last_commitment, (unsigned long long)r->first_told);
	else if (r->n_committed > 1)
		show_fieldf("",
		        "one committed to its answer in entry %llu, when another's had been told in entry "
		        "%llu",
		        (unsigned long long)r->last_commitment, (unsigned long long)r->first_told);
	else if (r->n_agreed > 0)
		show_field("", "that they did not see each other's answers is not shown");
}

/* null: nothing is known of that. */
static json_t *json_committed(const struct checked *k)
{
	const struct receipt_view *r = &k->r;

	if (r->n_committed < 2)
		return json_null();
	return json_pack("{s:b,s:I,s:I}", "before_told", receipt_hidden(r), "last_commitment",
	        (json_int_t)r->last_commitment, "first_told", (json_int_t)r->first_told);
}

static json_t *json_agreed(const struct checked *k)
{
	json_t *list = json_array();

	for (size_t i = 0; i < k->r.n_agreed; i++)
		json_array_append_new(list,
		        json_pack("{s:I,s:I,s:I,s:I}", "replica", (json_int_t)k->r.agreed[i].replica, "lease",
		                (json_int_t)k->r.agreed[i].lease, "node", (json_int_t)k->r.agreed[i].node,
		                "entry", (json_int_t)k->r.agreed[i].entry));
	return list;
}

static void print_trust(const struct checked *k)
{
	const struct policy_result *t = &k->r.trust;
	uint64_t now = cli_now_ns();
	char hex[SHA256_HEX + 1], a[32];

	show_fieldf("log", "%s: entry %llu of %llu, signed by the log", t->log->key.name,
	        (unsigned long long)k->r.entry, (unsigned long long)k->r.checkpoint.size);
	if (t->quorum_none && !t->witnesses)
		show_field("witnesses", "none, and the policy asks for none: the log's operator could show "
		                        "others another log");
	else
		show_fieldf("witnesses", "%u cosigned%s%s: the quorum is %s", t->witnesses,
		        t->first_s ? ", the first at " : "",
		        t->first_s ? clock_text(t->first_s * 1000000000u, now, a, sizeof(a)) : "",
		        t->met ? "met" : "NOT met");
	verify_heads_print(&k->heads);
	sha256_hex(k->r.spec_sha256, hex);
	show_fieldf("job spec", "sha256 %s", hex);
	if (k->file_is)
		show_fieldf("your file", "is %s of the task, byte for byte", k->file_is);
}

static void print_checked(const struct checked *k)
{
	const Wire__JobSpec *spec = k->r.job->spec;
	struct text t = {0};
	char a[32], b[32];
	uint64_t now = cli_now_ns();
	Wire__Outcome outcome = RESULT_COLUMN(k->r.results, outcome, k->r.column);

	term_paint(&t, stdout, BOLD, "the receipt holds");
	text_addf(&t, ": %s-%llu/%s/%llu is %s", spec->name, (unsigned long long)k->r.job->job,
	        k->r.step->name, (unsigned long long)k->r.task, level(k));
	(void)puts(text_str(&t));
	text_clear(&t);
	command_text(k, &t);
	show_field("ran", text_str(&t));
	show_fieldf("on", "node %u, key %s", k->r.lease->node, k->r.node);
	show_fieldf("for", "%s, submitted %s", k->r.job->by ? k->r.job->by->name : "?",
	        clock_text(k->r.job_entry->time_ns, now, a, sizeof(a)));
	show_fieldf("when", "%s, for %s (attempt under lease %llu)",
	        clock_text(start_ns(k), now, a, sizeof(a)),
	        duration_text(RESULT_COLUMN(k->r.results, wall_us, k->r.column) * 1000, b, sizeof(b)),
	        (unsigned long long)k->r.lease->lease);
	show_fieldf("outcome", "%s, code %d", outcome_name(outcome),
	        RESULT_COLUMN(k->r.results, code, k->r.column));
	print_inputs(k);
	print_outputs(k);
	print_agreed(k);
	print_trust(k);
	text_release(&t);
}

static json_t *hex_json(const uint8_t *digest)
{
	char hex[SHA256_HEX + 1];

	sha256_hex(digest, hex);
	return json_string(hex);
}

static void json_checked(const struct checked *k)
{
	const struct policy_result *trust = &k->r.trust;
	json_t *outputs = json_array(), *j;
	struct receipt_output out;
	struct text cmd = {0};

	for (size_t i = 0; receipt_output(&k->r, i, &out); i++) {
		json_t *o = json_pack("{s:s,s:I,s:b}", "name", out.name, "bytes", (json_int_t)out.bytes,
		        "truncated", out.truncated);

		if (out.sha256)
			json_object_set_new(o, "sha256", hex_json(out.sha256));
		json_array_append_new(outputs, o);
	}
	command_text(k, &cmd);
	j = json_pack("{s:s,s:s,s:I,s:s,s:I,s:s,s:s,s:I,s:I,s:I,s:s,s:i,s:o,s:o,s:s,s:I,s:I,s:I,s:b}",
	        "level", level(k), "job", k->r.job->spec->name, "job_number", (json_int_t)k->r.job->job,
	        "step", k->r.step->name, "task", (json_int_t)k->r.task, "command", text_str(&cmd), "node_key",
	        k->r.node, "lease", (json_int_t)k->r.lease->lease, "start_ns", (json_int_t)start_ns(k),
	        "wall_us", (json_int_t)RESULT_COLUMN(k->r.results, wall_us, k->r.column), "outcome",
	        outcome_name(RESULT_COLUMN(k->r.results, outcome, k->r.column)), "code",
	        RESULT_COLUMN(k->r.results, code, k->r.column), "outputs", outputs, "spec_sha256",
	        hex_json(k->r.spec_sha256), "log", trust->log->key.name, "entry", (json_int_t)k->r.entry,
	        "size", (json_int_t)k->r.checkpoint.size, "witnesses", (json_int_t)trust->witnesses,
	        "quorum_met", trust->met || trust->quorum_none);
	CHECK(j);
	json_object_set_new(j, "agreed", json_agreed(k));
	json_object_set_new(j, "committed", json_committed(k));
	json_object_set_new(j, "anchors", verify_heads_json(&k->heads));
	json_object_set_new(j, "file_is", k->file_is ? json_string(k->file_is) : json_null());
	json_print(j);
	json_decref(j);
	text_release(&cmd);
}

/* ---- the command ---- */

/* Did the node's key speak where the receipt stands in the log? */
static int check_keys(struct checked *k, const char *path, struct err *e)
{
	struct keyset *set = verify_keys(path, e);
	char vkey[NOTE_VKEY_MAX];
	struct note_key key;
	int rc;

	if (!set)
		return -1;
	note_key_make(k->r.node, NOTE_ED25519, k->r.node_key, &key);
	note_key_print(&key, vkey);
	rc = keyset_check(set, vkey, k->r.entry, e);
	free(set);
	return rc;
}

static int check(struct cli *c, struct checked *k, const char *bytes, size_t n, struct err *e)
{
	const char *policy_path = args_value(&c->args, "policy"), *output = args_value(&c->args, "output");
	struct note_verifier v = ed25519_verifier();
	struct merkle_hash h = sha256_merkle(k->sha);
	size_t policy_n = 0;
	char *policy = verify_file(policy_path, POLICY_BYTES_MAX, &policy_n, e);
	int rc = -1;

	if (policy && policy_parse(policy, policy_n, &k->policy, e) < 0) {
		(void)err_wrap(e, "'%.100s'", policy_path);
	} else if (policy) {
		rc = receipt_verify(&k->g.arena, &h, &v, &k->policy, bytes, n, &k->r, e);
	}
	if (rc == 0 && policy_enough(&k->r.trust, e) < 0) {
		(void)err_wrap(e, "the log signed it");
		rc = err_hint(e, "get a newer receipt when more witnesses have seen the log");
	}
	if (rc == 0 && args_value(&c->args, "keys"))
		rc = check_keys(k, args_value(&c->args, "keys"), e);
	if (rc == 0 && output)
		rc = check_output(k, output, e);
	if (rc == 0)
		rc = verify_heads(c, &k->r, &k->heads, e);
	if (rc == 0 && c->json)
		json_checked(k);
	else if (rc == 0)
		print_checked(k);
	free(policy);
	return rc;
}

static int run_receipt(struct cli *c, const char *bytes, size_t n)
{
	struct checked *k;
	struct err e = {0};
	int rc;

	if (!args_value(&c->args, "policy"))
		return cli_usage(c, "--policy is needed: whom do you trust? 'osier ledger policy' writes one "
		                    "for this node");
	if (args_value(&c->args, "key"))
		return cli_usage(c, "--key is for an envelope: of a receipt, the policy says whom to trust");
	k = cli_alloc(sizeof(*k));
	growing_init(&k->g, 1u << 20, 512u << 20);
	k->sha = sha256_new();
	rc = check(c, k, bytes, n, &e);
	sha256_free(k->sha);
	growing_release(&k->g);
	free(k);
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}

static int run(struct cli *c)
{
	struct err e = {0};
	size_t n = 0;
	char *bytes = verify_file(c->args.arg[0], TLOGPROOF_BYTES_MAX, &n, &e);
	int rc;

	if (!bytes)
		return cli_fail(c, &e);
	if (!verify_is_envelope(bytes, n))
		rc = run_receipt(c, bytes, n);
	else if (args_value(&c->args, "policy"))
		rc = cli_usage(c, "--policy is for a receipt: an envelope is the word of a node, whose key "
		                  "--key gives");
	else if (args_value(&c->args, "chain") || args_value(&c->args, "ca"))
		rc = cli_usage(c, "--chain and --ca are for a receipt: an envelope has no place in the log, "
		                  "and no anchor");
	else
		rc = verify_envelope(c, bytes, n, &e) < 0 ? cli_fail(c, &e) : EXIT_OK;
	free(bytes);
	return rc;
}

const struct command_def cmd_verify = {
        .name = "verify",
        .group = GROUP_PROVE,
        .usage = "RECEIPT --policy FILE | ENVELOPE [--key VKEY] [--output FILE]",
        .summary = "check a receipt offline: which node ran what, and what came out",
        .about = "Needs nothing but the receipt and the policy: no node, no network. It follows every hash "
                 "and signature from the "
                 "result to the log's head and says how strongly that is established: committed (the log "
                 "signed it) or witnessed "
                 "(as many witnesses as the policy asks for have seen that log). Any change to the file is "
                 "an error that "
                 "names what does not match. With --output, the file in hand must be one that the task put "
                 "out.\n\n"
                 "An envelope (osier receipt --format dsse) is checked with the node's key: that of --key, "
                 "or one "
                 "that the node "
                 "here has told its log.",
        .examples = "osier verify pi.tlog-proof --policy trust.policy\n"
                    "osier verify pi.tlog-proof --policy trust.policy --output pi.txt",
        .options = options,
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
