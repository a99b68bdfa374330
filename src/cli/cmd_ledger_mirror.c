/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ledger_mirror - `osier ledger export` and `osier ledger mirror`: a log as a folder of files. */
#include "cli/cmd_ledger.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/show.h"
#include "io/mirror.h"

#define FILE_TIMEOUT_NS (30ull * 1000000000u)
#define EVERY_NS        (10ull * 1000000000u)
#define EVERY_MAX_NS    (300ull * 1000000000u) /* between two tries while the log cannot be read */

struct following {
	struct cli *c;
	struct policy *policy;
	struct logsource source;
	struct mirror *mirror;
	struct mirror_result r;
	uint64_t began_ns, drawn_ns;
	bool told_denied;
};

/* ---- progress ---- */

static int progress(void *ctx, uint64_t done, uint64_t total)
{
	struct following *f = ctx;
	uint64_t now = cli_mono_ns(), ns = now - f->began_ns;
	struct progress_row row = {
	        .name = "files", .state = "", .total = total, .succeeded = done, .elapsed_ns = ns};

	if (term_interrupts() > 0)
		return -1;
	if (ns < 500000000u || (now - f->drawn_ns < 100000000u && done < total))
		return 0;
	f->drawn_ns = now;
	row.rate_milli = (uint64_t)((unsigned __int128)done * 1000000000000u / (ns ? ns : 1));
	progress_draw(&row, 1);
	return 0;
}

/* ---- one pass, told ---- */

static const char *folder(const struct following *f)
{
	return f->c->args.arg[f->c->args.n_args - 1];
}

static void json_result(const struct following *f)
{
	static const char *const verdicts[] = {
	        [MIRROR_GREW] = "mirrored", [MIRROR_OLDER] = "older", [MIRROR_FORKED] = "forked"};
	const struct mirror_result *r = &f->r;
	json_t *j = json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:b}", "verdict", verdicts[r->verdict], "origin",
	        r->origin, "old", (json_int_t)r->old, "size", (json_int_t)r->size, "tiles",
	        (json_int_t)r->tiles, "bundles", (json_int_t)r->bundles, "expired", (json_int_t)r->expired,
	        "entries_denied", r->denied);

	CHECK(j);
	json_object_set_new(j, "evidence",
	        r->verdict == MIRROR_FORKED ? json_sprintf("%s/%s", folder(f), r->evidence) : json_null());
	json_print_line(j);
	json_decref(j);
}

static int forked(const struct following *f)
{
	struct err e;

	(void)err_set(&e, ERR_CORRUPT,
	        "the log '%.80s' shows two histories: its head of %llu entries does not fit the one of %llu",
	        f->r.origin, (unsigned long long)f->r.size, (unsigned long long)f->r.old);
	(void)err_hint(&e, "both signed heads and the proof are in '%.60s/%s'", folder(f), f->r.evidence);
	term_error(&e);
	return EXIT_FORKED;
}

static void tell(struct following *f)
{
	const struct mirror_result *r = &f->r;

	if (r->denied && !f->told_denied)
		term_note("the log gives its entries to its owner only: the folder has hashes alone");
	f->told_denied |= r->denied;
	if (r->expired)
		term_note("%llu entries are no longer had from the log: payload expired, their hashes stay",
		        (unsigned long long)r->expired);
	if (f->c->json || (r->size == r->old && !r->tiles && !r->bundles && f->source.ctx &&
	                          args_flag(&f->c->args, "follow")))
		return;
	(void)printf("%s: %llu entries (%llu new) are in '%s', and lead to the signed head\n", r->origin,
	        (unsigned long long)r->size, (unsigned long long)(r->size - r->old), folder(f));
	(void)fflush(stdout);
}

/* 0, an exit code, or < 0 with *e. */
static int pass(struct following *f, struct err *e)
{
	int rc;

	f->began_ns = cli_mono_ns();
	rc = mirror_pass(f->mirror, &f->source, &f->r, e);
	progress_clear();
	if (rc < 0)
		return -1;
	if (f->c->json)
		json_result(f);
	if (f->r.verdict == MIRROR_FORKED)
		return forked(f);
	if (f->r.verdict == MIRROR_OLDER) {
		(void)err_set(e, ERR_DENIED,
		        "the log shows a head of %llu entries, and %llu were seen before: it went back",
		        (unsigned long long)f->r.size, (unsigned long long)f->r.old);
		return err_hint(e, "an old copy of it answers; the folder stays as it is");
	}
	tell(f);
	return 0;
}

/* ---- mirror ---- */

int ledger_policy(const char *path, struct policy *out, struct err *e)
{
	FILE *file = fopen(path, "re");
	char *text = cli_alloc(POLICY_BYTES_MAX + 1);
	size_t n = file ? fread(text, 1, POLICY_BYTES_MAX + 1, file) : 0;
	int rc = 0;

	if (!file || ferror(file))
		rc = err_sys(e, "cannot read '%.200s'", path);
	else if (n > POLICY_BYTES_MAX)
		rc = err_set(e, ERR_FULL, "'%.150s' has more than %d bytes", path, POLICY_BYTES_MAX);
	else if (policy_parse(text, n, out, e) < 0)
		rc = err_wrap(e, "'%.100s'", path);
	if (file)
		(void)fclose(file);
	free(text);
	return rc;
}

/* Sleep, or until Ctrl-C; false then. */
static bool nap(uint64_t ns)
{
	struct pollfd p = {.fd = term_interrupt_fd(), .events = POLLIN};

	(void)poll(&p, 1, (int)(ns / 1000000u));
	return term_interrupts() == 0;
}

static int follow(struct following *f, struct err *e)
{
	const char *every = args_value(&f->c->args, "every");
	uint64_t every_ns = EVERY_NS, wait_ns;
	int rc = 0;

	if (every && duration_parse(every, &every_ns, e) < 0)
		return cli_fail(f->c, e);
	if (every_ns < 100000000u)
		every_ns = 100000000u;
	wait_ns = every_ns;
	while (nap(rc < 0 ? wait_ns : every_ns)) {
		rc = pass(f, e);
		if (rc > 0)
			return rc;
		if (rc < 0 && term_interrupts())
			break;
		if (rc < 0) { /* it may come back; what it said wrong was not believed */
			wait_ns = wait_ns * 2 < EVERY_MAX_NS ? wait_ns * 2 : EVERY_MAX_NS;
			term_note("%s; trying again in %llu s", e->msg,
			        (unsigned long long)(wait_ns / 1000000000u));
		} else {
			wait_ns = every_ns;
		}
	}
	return EXIT_INTERRUPTED;
}

static int run_mirror(struct following *f, struct err *e)
{
	struct mirror_options o = {.dir = folder(f),
	        .policy = f->policy,
	        .what = args_flag(&f->c->args, "hashes") ? MIRROR_HASHES : MIRROR_ALL,
	        .progress = progress,
	        .ctx = f};
	int rc;

	if (mirror_open(&o, &f->mirror, e) < 0)
		return cli_fail(f->c, e);
	term_catch_interrupts();
	rc = pass(f, e);
	if (rc < 0)
		return cli_fail(f->c, e);
	return rc == 0 && args_flag(&f->c->args, "follow") ? follow(f, e) : rc;
}

int ledger_mirror(struct cli *c)
{
	struct logsource_options so = {.ca_file = args_value(&c->args, "ca"), .timeout_ns = FILE_TIMEOUT_NS};
	struct following f = {.c = c};
	const char *timeout = args_value(&c->args, "timeout");
	struct err e = {0};
	int rc;

	if (c->args.n_args != 3)
		return cli_usage(c, "'mirror' needs the log's address and a folder");
	if (!args_value(&c->args, "policy"))
		return cli_usage(c, "--policy is needed: whom to trust, with a line 'log VKEY' of that log");
	if (timeout && duration_parse(timeout, &so.timeout_ns, &e) < 0)
		return cli_fail(c, &e);
	if (so.timeout_ns < 100000000u)
		so.timeout_ns = 100000000u;
	term_catch_interrupts();
	so.stop_fd = term_interrupt_fd();
	f.policy = cli_alloc(sizeof(*f.policy));
	if (ledger_policy(args_value(&c->args, "policy"), f.policy, &e) < 0 ||
	        logsource_open(c->args.arg[1], &so, &f.source, &e) < 0)
		rc = cli_fail(c, &e);
	else
		rc = run_mirror(&f, &e);
	mirror_close(f.mirror);
	logsource_close(&f.source);
	free(f.policy);
	return rc;
}

/* ---- export ---- */

/* The node's own log, by its API. */
struct own_log {
	struct cli *c;
	struct response last;
};

static int get_own(void *ctx, const char *path, size_t max, const uint8_t **out, size_t *out_n, struct err *e)
{
	struct own_log *o = ctx;
	struct text t = {0};
	int rc;

	response_release(&o->last);
	memset(&o->last, 0, sizeof(o->last));
	text_addf(&t, "/v1/ledger/%s", path);
	rc = client_call(o->c->client, "GET", text_str(&t), NULL, NULL, 0, &o->last, e);
	text_release(&t);
	if (rc == 0 && o->last.status != 200)
		rc = ask_error(&o->last, e);
	if (rc == 0 && o->last.body.n > max)
		rc = err_set(e, ERR_FULL, "the node sends more than %zu bytes for '%.60s'", max, path);
	if (rc < 0)
		return -1;
	*out = (const uint8_t *)text_str(&o->last.body);
	*out_n = o->last.body.n;
	return 0;
}

/* Trust what the log says of its own keys: this is its owner's copy, and a check of what the node has on its disk. */
static int own_policy(struct following *f, struct err *e)
{
	json_t *j = ask_get(f->c, e, "/v1/ledger/keys"), *k;
	struct text t = {0};
	size_t i;
	int rc;

	if (!j)
		return -1;
	json_array_foreach(json_object_get(j, "keys"), i, k)
	{
		if (strcmp(j_str(k, "role"), "log") == 0 && strcmp(j_str(k, "state"), "added") == 0)
			text_addf(&t, "log %s\n", j_str(k, "vkey"));
	}
	text_add(&t, "quorum none\n");
	rc = policy_parse(text_str(&t), t.n, f->policy, e);
	text_release(&t);
	json_decref(j);
	return rc;
}

int ledger_export(struct cli *c)
{
	struct own_log own = {.c = c};
	struct following f = {.c = c, .source = {get_own, &own}};
	struct err e = {0};
	int rc;

	if (c->args.n_args != 2)
		return cli_usage(c, "'export' needs a folder");
	if (args_flag(&c->args, "follow"))
		return cli_usage(c, "--follow is for 'mirror'; it can follow this node's log, too");
	f.policy = cli_alloc(sizeof(*f.policy));
	rc = own_policy(&f, &e) < 0 ? cli_fail(c, &e) : run_mirror(&f, &e);
	mirror_close(f.mirror);
	response_release(&own.last);
	free(f.policy);
	return rc;
}
