/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ledger_of - `osier ledger ... --of NODE`, `osier receipt --of NODE`: what this hub's copy of a node's log shows. Needs no node. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "cli/cmd_ledger.h"
#include "cli/nodeproc.h"
#include "cli/show.h"
#include "engine/api_entry.h"
#include "io/growing.h"
#include "io/logfolder.h"
#include "io/sha256.h"
#include "wire/entry.h"

#define OWN "own:"

/* ---- which folder ---- */

/* "NODE-XXXXXXXX", or that name itself. */
static bool is_of(const char *folder, const char *node)
{
	size_t n = strlen(node);

	return strcmp(folder, node) == 0 ||
	       (strncmp(folder, node, n) == 0 && folder[n] == '-' && strlen(folder) == n + 9 &&
	               strspn(folder + n + 1, "0123456789abcdef") == 8);
}

int ledger_copy_of(struct cli *c, const char *node, char **out, struct err *e)
{
	struct text dir = {0}, path = {0}, best = {0};
	struct timespec when = {0};
	struct dirent *at;
	struct stat st;
	unsigned n = 0;
	DIR *d;

	if (cli_must_be_here(c, e) < 0 ||
	        (!c->state_dir && state_folder(args_value(&c->args, "state"), &c->state_dir, e) < 0))
		return -1;
	text_addf(&dir, "%s/mirrors", c->state_dir);
	d = opendir(text_str(&dir));
	while (d && (at = readdir(d))) {
		if (!is_of(at->d_name, node))
			continue;
		text_clear(&path);
		text_addf(&path, "%s/%s", text_str(&dir), at->d_name);
		n++;
		/* Of a node that joined anew the log that was heard last. */
		if (lstat(text_str(&path), &st) == 0 &&
		        (st.st_mtim.tv_sec > when.tv_sec ||
		                (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec > when.tv_nsec))) {
			when = st.st_mtim;
			text_clear(&best);
			text_add(&best, text_str(&path));
		}
	}
	if (d)
		(void)closedir(d);
	if (n > 1)
		term_note("there are %u copies of logs of '%s'; this is %s", n, node, text_str(&best));
	*out = best.n ? cli_dup(text_str(&best)) : NULL;
	text_release(&dir);
	text_release(&path);
	text_release(&best);
	if (*out)
		return 0;
	(void)err_set(e, ERR_NOTFOUND, "no copy of the log of '%.63s' is here", node);
	return err_hint(e, "a hub keeps those of its nodes: 'osier ledger witness' there shows how much");
}

static int open_of(struct cli *c, struct logfolder **out, struct err *e)
{
	char *dir;
	int rc;

	if (ledger_copy_of(c, args_value(&c->args, "of"), &dir, e) < 0)
		return -1;
	rc = logfolder_open(dir, out, e);
	free(dir);
	return rc;
}

/* ---- head, entry, proof, consistency, policy ---- */

static void hex_json(json_t *j, const char *key, const uint8_t hash[32])
{
	char hex[SHA256_HEX + 1];

	sha256_hex(hash, hex);
	json_object_set_new(j, key, json_string(hex));
}

static int head_of(struct logfolder *f, const struct cli *c)
{
	struct logfolder_head h;
	char root[SHA256_HEX + 1];
	json_t *j;

	logfolder_head(f, &h);
	sha256_hex(h.root, root);
	if (c->json) {
		j = json_pack("{s:s, s:I, s:s, s:s}", "origin", h.origin, "size", (json_int_t)h.size, "root",
		        root, "note", h.note);
		CHECK(j);
		json_print(j);
		json_decref(j);
		return EXIT_OK;
	}
	show_field("log", h.origin);
	show_fieldf("entries", "%llu", (unsigned long long)h.size);
	show_field("root", root);
	(void)printf("\n%s", h.note);
	return EXIT_OK;
}

static int entry_of(struct logfolder *f, const struct cli *c, uint64_t seq)
{
	struct json_out o = {0};
	const Wire__Entry *en;
	const uint8_t *bytes;
	uint8_t leaf[32];
	struct growing g;
	struct err e = {0};
	char *text = NULL;
	json_t *j = NULL;
	size_t n;

	growing_init(&g, 256u << 10, 4 * ENTRY_BYTES_MAX);
	if (logfolder_leaf(f, seq, leaf, &e) == 0 && logfolder_entry(f, seq, &bytes, &n, &e) == 0 &&
	        entry_decode(&g.arena, bytes, n, &en, &e) == 0) {
		entry_json(&o, seq, leaf, en);
		text = jo_take(&o, &n);
		j = json_loadb(text, n, 0, NULL);
		CHECK(j);
		json_print(j);
		json_decref(j);
	}
	free(text);
	growing_release(&g);
	return j ? EXIT_OK : cli_fail(c, &e);
}

static void print_path(const struct logfolder_head *h, const struct proof *p, json_t *j)
{
	char hex[SHA256_HEX + 1];
	json_t *list = json_array();

	json_object_set_new(j, "origin", json_string(h->origin));
	json_object_set_new(j, "size", json_integer((json_int_t)h->size));
	hex_json(j, "root", h->root);
	for (unsigned i = 0; i < p->n; i++) {
		sha256_hex(p->hash[i], hex);
		json_array_append_new(list, json_string(hex));
	}
	json_object_set_new(j, "path", list);
	json_object_set_new(j, "note", json_string(h->note));
	json_print(j);
	json_decref(j);
}

static int proof_of(struct logfolder *f, const struct cli *c, uint64_t seq)
{
	struct proof_source s = logfolder_source(f);
	struct merkle_hash hash = logfolder_hash(f);
	struct proof *p = cli_alloc(sizeof(*p));
	struct logfolder_head h;
	struct err e = {0};
	uint8_t leaf[32];
	json_t *j;
	int rc;

	logfolder_head(f, &h);
	rc = logfolder_leaf(f, seq, leaf, &e);
	if (rc == 0)
		rc = proof_inclusion(&hash, &s, seq, h.size, p, &e);
	if (rc == 0) {
		j = json_pack("{s:I}", "index", (json_int_t)seq);
		CHECK(j);
		hex_json(j, "leaf", leaf);
		print_path(&h, p, j);
	}
	free(p);
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}

static int consistency_of(struct logfolder *f, const struct cli *c, uint64_t old)
{
	struct proof_source s = logfolder_source(f);
	struct merkle_hash hash = logfolder_hash(f);
	struct proof *p = cli_alloc(sizeof(*p));
	struct logfolder_head h;
	struct err e = {0};
	uint8_t root[32];
	json_t *j;
	int rc;

	logfolder_head(f, &h);
	rc = proof_consistency(&hash, &s, old, h.size, p, &e);
	if (rc == 0)
		rc = proof_root(&hash, &s, old, root, &e);
	if (rc == 0) {
		j = json_pack("{s:I}", "old", (json_int_t)old);
		CHECK(j);
		hex_json(j, "old_root", root);
		print_path(&h, p, j);
	}
	free(p);
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}

static int policy_of(struct cli *c)
{
	struct err e = {0};
	struct text path = {0};
	char *dir, line[1024];
	FILE *file;
	int rc = ledger_copy_of(c, args_value(&c->args, "of"), &dir, &e);

	if (rc < 0)
		return cli_fail(c, &e);
	text_addf(&path, "%s/trust.policy", dir);
	file = fopen(text_str(&path), "re");
	if (!file)
		rc = err_sys(&e, "cannot read '%.200s'", text_str(&path));
	while (file && fgets(line, sizeof(line), file))
		(void)fputs(line, stdout);
	if (file)
		(void)fclose(file);
	text_release(&path);
	free(dir);
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}

static bool number(const char *text, uint64_t *out)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	*out = strtoull(text, &end, 10);
	return !*end;
}

int ledger_of(struct cli *c, const char *word)
{
	bool entry = strcmp(word, "entry") == 0, proof = strcmp(word, "proof") == 0,
	     consistency = strcmp(word, "consistency") == 0;
	struct logfolder *f;
	struct err e = {0};
	uint64_t n = 0;
	int rc;

	if (strcmp(word, "policy") == 0)
		return policy_of(c);
	if (strcmp(word, "audit") == 0)
		return ledger_audit(c);
	if (!entry && !proof && !consistency && strcmp(word, "head") != 0)
		return cli_usage(c, "--of is for head, entry, proof, consistency, policy and audit");
	if ((entry || proof || consistency) && (c->args.n_args != 2 || !number(c->args.arg[1], &n)))
		return cli_usage(c,
		        consistency ? "of a copy, a size of before is needed" : "the entry must be a number");
	if (open_of(c, &f, &e) < 0)
		return cli_fail(c, &e);
	rc = entry         ? entry_of(f, c, n)
	     : proof       ? proof_of(f, c, n)
	     : consistency ? consistency_of(f, c, n)
	                   : head_of(f, c);
	logfolder_close(f);
	return rc;
}

/* ---- receipts ---- */

/* "own:JOB/STEP/TASK": of the node's own, JOB "NAME-17" or "17". */
static int find_own(struct logfolder *f, const char *name, uint64_t *results, uint64_t *task, struct err *e)
{
	char *text = cli_dup(name), *step = strchr(text, '/'), *index = step ? strchr(step + 1, '/') : NULL;
	const char *job = text;
	uint64_t id;
	int rc = -1;

	if (index) {
		*step++ = '\0';
		*index++ = '\0';
		job = strrchr(text, '-') ? strrchr(text, '-') + 1 : text;
	}
	if (!index || !number(job, &id) || !number(index, task))
		(void)err_set(e, ERR_INVALID,
		        "'" OWN "%.80s' is not " OWN "JOB/STEP/TASK, with the job's number there", name);
	else
		rc = logfolder_find_task(f, id, step, *task, results, e);
	free(text);
	return rc;
}

/* The last attempt that is in the log: the hub knows its leases, which are its own and never given twice, the log what came of them. */
static int find_attempt(
        struct logfolder *f, const json_t *t, uint64_t *results, uint64_t *task, struct err *e)
{
	const json_t *list = json_object_get(t, "attempts");
	int rc = -1;

	(void)err_set(e, ERR_NOTFOUND, "'%.80s' has no result yet", j_str(t, "id"));
	for (size_t i = json_array_size(list); i-- > 0 && rc < 0;) {
		const json_t *a = json_array_get(list, i);

		rc = logfolder_find_lease(
		        f, j_str(t, "job_id"), j_uint(a, "lease"), j_uint(t, "index"), results, task, e);
	}
	return rc;
}

static int find_task(struct cli *c, struct logfolder *f, const char *name, uint64_t *results, uint64_t *task,
        struct err *e)
{
	struct task_name t = {0};
	struct text path = {0};
	json_t *j = NULL;
	int rc = -1;

	if (strncmp(name, OWN, sizeof(OWN) - 1) == 0)
		return find_own(f, name + sizeof(OWN) - 1, results, task, e);
	if (cli_connect_look(c, e) < 0 || task_resolve(c, name, &t, e) < 0)
		return -1;
	if (!t.step) {
		(void)err_set(e, ERR_INVALID, "a receipt is of one task: name it as JOB/STEP/INDEX");
	} else {
		job_target(&path, t.job);
		text_add(&path, "/tasks/");
		url_add(&path, t.step);
		text_addf(&path, "/%lld", (long long)(t.index < 0 ? 0 : t.index));
		j = ask(c, "GET", text_str(&path), NULL, e);
	}
	if (j)
		rc = find_attempt(f, j, results, task, e);
	json_decref(j);
	text_release(&path);
	task_name_release(&t);
	return rc;
}

int receipt_of(struct cli *c, const char *name, const char *path)
{
	struct logfolder *f = NULL;
	uint64_t results, task;
	struct err e = {0};
	char *text = NULL;
	FILE *file = stdout;
	size_t n = 0;
	int rc;

	rc = open_of(c, &f, &e) < 0 || find_task(c, f, name, &results, &task, &e) < 0 ||
	                     logfolder_receipt(f, results, task, &text, &n, &e) < 0
	             ? -1
	             : 0;
	logfolder_close(f);
	if (rc == 0 && path && !(file = fopen(path, "we")))
		rc = err_sys(&e, "cannot write '%.200s'", path);
	if (rc == 0 && fwrite(text, 1, n, file) != n)
		rc = err_sys(&e, "cannot write the receipt");
	if (path && file && file != stdout && fclose(file) != 0 && rc == 0)
		rc = err_sys(&e, "cannot write '%.200s'", path);
	free(text);
	if (rc < 0)
		return cli_fail(c, &e);
	if (path)
		term_hint(
		        "osier ledger policy --of %s > node.policy, then anywhere: osier verify %s --policy "
		        "node.policy",
		        args_value(&c->args, "of"), path);
	return EXIT_OK;
}
