/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ledger_audit - `osier ledger audit`: compute a log again from its stored bytes. Needs no node. */
#include "cli/cmd_ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/nodeproc.h"
#include "cli/show.h"
#include "io/audit.h"
#include "io/sha256.h"

struct auditing {
	uint64_t began_ns;
	bool drawn;
};

static int progress(void *ctx, uint64_t done, uint64_t total)
{
	struct auditing *a = ctx;
	uint64_t ns = cli_mono_ns() - a->began_ns;
	struct progress_row row = {
	        .name = "entries", .state = "", .total = total, .succeeded = done, .elapsed_ns = ns};

	if (term_interrupts() > 0)
		return -1;
	if (ns < 500000000u || !total)
		return 0;
	row.rate_milli = (uint64_t)((unsigned __int128)done * 1000000000000u / ns);
	progress_draw(&row, 1);
	a->drawn = true;
	return 0;
}

static void json_report(const struct audit_report *r, uint64_t ns, unsigned long long rate)
{
	char root[SHA256_HEX + 1];
	json_t *j;

	sha256_hex(r->root, root);
	j = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:I}", "entries", (json_int_t)r->entries, "expired",
	        (json_int_t)r->expired, "bytes", (json_int_t)r->bytes, "size", (json_int_t)r->size, "tiles",
	        (json_int_t)r->tiles, "batches", (json_int_t)r->batches, "receipts", (json_int_t)r->receipts,
	        "seconds", (double)ns / 1e9, "entries_per_s", (json_int_t)rate);
	CHECK(j);
	json_object_set_new(j, "origin", r->origin[0] ? json_string(r->origin) : json_null());
	json_object_set_new(j, "root", r->origin[0] ? json_string(root) : json_null());
	json_object_set_new(j, "signer", r->signer[0] ? json_string(r->signer) : json_null());
	json_print(j);
	json_decref(j);
}

static void tell(const struct audit_report *r, uint64_t ns, unsigned long long rate)
{
	char a[32], b[32], c[32], root[SHA256_HEX + 1];

	sha256_hex(r->root, root);
	(void)printf("nothing differs: %s entries (%s) in %s, %s/s\n", count_text(r->entries, a, sizeof(a)),
	        size_text(r->bytes, b, sizeof(b)), duration_text(ns, c, sizeof(c)),
	        count_text(rate, root, sizeof(root)));
	sha256_hex(r->root, root);
	if (r->expired)
		show_fieldf("expired", "%s payloads were dropped by policy; their hashes stand",
		        count_text(r->expired, a, sizeof(a)));
	if (r->origin[0]) {
		show_field("log", r->origin);
		show_fieldf("head", "of %llu entries, root %s", (unsigned long long)r->size, root);
	} else {
		show_field("head", "none: nothing was published yet");
	}
	if (r->signer[0])
		show_fieldf("signed by", "%s", r->signer);
	else if (r->origin[0])
		show_field("signed by",
		        "not checked: no entry names the log's key; name a policy with --policy FILE");
	show_fieldf("receipts", "%llu result%s in %llu signed batch%s", (unsigned long long)r->receipts,
	        plural(r->receipts), (unsigned long long)r->batches, r->batches == 1 ? "" : "es");
}

static int check(struct cli *c, const char *folder, const struct policy *policy, struct err *e)
{
	struct auditing a = {.began_ns = cli_mono_ns()};
	struct audit_options o = {.policy = policy, .progress = progress, .ctx = &a};
	struct audit_report r;
	unsigned long long rate;
	uint64_t ns;
	int rc;

	term_catch_interrupts();
	rc = folder ? audit_folder(folder, &o, &r, e) : audit_state(c->state_dir, &o, &r, e);
	if (a.drawn)
		progress_clear();
	if (rc < 0)
		return -1;
	ns = cli_mono_ns() - a.began_ns;
	rate = (unsigned long long)((unsigned __int128)r.entries * 1000000000u / (ns ? ns : 1));
	if (c->json)
		json_report(&r, ns, rate);
	else
		tell(&r, ns, rate);
	return 0;
}

int ledger_audit(struct cli *c)
{
	const char *policy_path = args_value(&c->args, "policy"),
	           *folder = c->args.n_args < 2 ? NULL : c->args.arg[1];
	struct policy *policy = policy_path ? cli_alloc(sizeof(*policy)) : NULL;
	struct err e = {0};
	const char *of = args_value(&c->args, "of");
	struct text own = {0};
	char *copy = NULL;
	int rc = 0;

	if (of && c->args.n_args > 1)
		return cli_usage(c, "--of names the folder");
	if (of && (rc = ledger_copy_of(c, of, &copy, &e)) == 0) {
		folder = copy;
		text_addf(&own, "%s/trust.policy", copy);
		policy_path = policy_path ? policy_path : text_str(&own);
	}
	if (of && !policy)
		policy = cli_alloc(sizeof(*policy));
	if (rc == 0 && policy)
		rc = ledger_policy(policy_path, policy, &e);
	if (rc == 0 && !folder)
		rc = cli_must_be_here(c, &e);
	if (rc == 0 && !folder)
		rc = state_folder(args_value(&c->args, "state"), &c->state_dir, &e);
	if (rc == 0)
		rc = check(c, folder, policy, &e);
	text_release(&own);
	free(copy);
	free(policy);
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}
