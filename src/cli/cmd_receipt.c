/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_receipt - `osier receipt`: the proof of what a task did, as a file that a stranger can check. */
#include "cli/cmd_ledger.h"
#include "cli/commands.h"
#include "cli/receipt_wait.h"

#include <stdio.h>
#include <string.h>

#define WAIT_ANCHORED_NS  (1800ull * 1000000000ull)
#define WAIT_WITNESSED_NS (60ull * 1000000000ull)

static const struct option_def options[] = {
        {'o', "output", "FILE", "write it there instead of to the standard output", COMPLETE_FILE, NULL},
        {'f', "format", "FORMAT",
                "tlog-proof (default), or dsse: an in-toto Statement that other tools verify", COMPLETE_WORDS,
                "tlog-proof,dsse"},
        {0, "of", "NODE",
                "from this hub's copy of the log of the node that ran it; TASK own:JOB/STEP/INDEX is of a "
                "job of that node's own",
                COMPLETE_NODE, NULL},
        {'w', "wait", "LEVEL", "wait until it is witnessed, or anchored on a chain", COMPLETE_WORDS,
                "witnessed,anchored"},
        {'t', "timeout", "DURATION",
                "wait no longer than that (default 1m, or 30m for a chain; exit code 124)", COMPLETE_NOTHING,
                NULL},
        {0},
};

/* What is done but not yet signed is signed now; a node that only looks publishes nothing, and need not. */
static void publish(struct cli *c)
{
	struct err e;

	json_decref(c->node ? NULL : ask(c, "POST", "/v1/ledger/publish", NULL, &e));
}

static const char *format(const struct cli *c)
{
	const char *f = args_value(&c->args, "format");

	return f ? f : "tlog-proof";
}

static void receipt_target(const struct cli *c, const struct task_name *name, struct text *t)
{
	job_target(t, name->job);
	text_add(t, "/tasks/");
	url_add(t, name->step);
	text_addf(t, "/%lld/receipt?format=", (long long)(name->index < 0 ? 0 : name->index));
	url_add(t, format(c));
}

/* As --wait says; the file is fetched afterwards, with what came meanwhile in it. */
static int wait_level(struct cli *c, const struct task_name *name, struct err *e)
{
	const char *timeout = args_value(&c->args, "timeout");
	const char *level = args_value(&c->args, "wait");
	bool chain = level && strcmp(level, "anchored") == 0;
	uint64_t limit_ns = chain ? WAIT_ANCHORED_NS : WAIT_WITNESSED_NS;
	struct response r = {0};
	struct text t = {0};
	int rc;

	if (!level)
		return 0;
	if (timeout && duration_parse(timeout, &limit_ns, e) < 0)
		return err_wrap(e, "--timeout");
	receipt_target(c, name, &t);
	rc = client_call(c->client, "GET", text_str(&t), NULL, NULL, 0, &r, e);
	if (rc == 0)
		rc = r.status != 200 ? ask_error(&r, e)
		     : chain         ? receipt_wait_anchored(c, text_str(&r.body), r.body.n, limit_ns, e)
		                     : receipt_wait_witnessed(c, text_str(&r.body), r.body.n, limit_ns, e);
	response_release(&r);
	text_release(&t);
	return rc;
}

static int fetch(struct cli *c, struct task_name *name, FILE *f, struct err *e)
{
	struct response r = {0};
	struct text t = {0};
	int rc;

	receipt_target(c, name, &t);
	rc = client_download(c->client, text_str(&t), f, &r, e);
	if (rc == 0 && r.status != 200)
		rc = ask_error(&r, e);
	response_release(&r);
	text_release(&t);
	return rc;
}

static int run(struct cli *c)
{
	const char *path = args_value(&c->args, "output"), *wait = args_value(&c->args, "wait");
	struct task_name name = {0};
	struct err e = {0};
	FILE *f = stdout;
	int rc;

	if (strcmp(format(c), "tlog-proof") != 0 && strcmp(format(c), "dsse") != 0)
		return cli_usage(c, "'%.40s' is no format: tlog-proof or dsse", format(c));
	if (wait && ((strcmp(wait, "anchored") != 0 && strcmp(wait, "witnessed") != 0) ||
	                    strcmp(format(c), "dsse") == 0))
		return cli_usage(c, "a tlog-proof can be waited for until it is 'witnessed' or 'anchored'");
	if (args_value(&c->args, "of"))
		return wait || strcmp(format(c), "dsse") == 0
		               ? cli_usage(c,
		                         "what is read out of a copy is a tlog-proof, and is not waited for")
		               : receipt_of(c, c->args.arg[0], path);
	/* Without a node nobody asks witnesses. */
	if ((wait && strcmp(wait, "witnessed") == 0 ? cli_connect(c, &e) : cli_connect_look(c, &e)) < 0 ||
	        task_resolve(c, c->args.arg[0], &name, &e) < 0)
		return cli_fail(c, &e);
	if (!name.step) {
		task_name_release(&name);
		return cli_usage(c, "a receipt is of one task: name it as JOB/STEP/INDEX");
	}
	publish(c);
	if (wait_level(c, &name, &e) < 0) {
		task_name_release(&name);
		rc = cli_fail(c, &e);
		return e.code == ERR_TIMEOUT && !term_interrupts() ? EXIT_TIMEOUT : rc;
	}
	if (path && !(f = fopen(path, "we"))) {
		(void)err_sys(&e, "cannot write '%.200s'", path);
		rc = -1;
	} else {
		rc = fetch(c, &name, f, &e);
		if (path && fclose(f) != 0 && rc == 0)
			rc = err_sys(&e, "cannot write '%.200s'", path);
		if (path && rc < 0)
			(void)remove(path);
	}
	task_name_release(&name);
	if (rc < 0)
		return cli_fail(c, &e);
	if (path && strcmp(format(c), "dsse") == 0)
		term_hint("osier verify %s --key VKEY; 'osier ledger keys' shows the node's", path);
	else if (path)
		term_hint("osier ledger policy > trust.policy, then anywhere: osier verify %s --policy "
		          "trust.policy",
		        path);
	return EXIT_OK;
}

const struct command_def cmd_receipt = {
        .name = "receipt",
        .group = GROUP_PROVE,
        .usage = "TASK [--format dsse] [--wait witnessed|anchored] [--of NODE] [-o FILE]",
        .summary = "write the proof of what a task ran and what came out",
        .about = "A receipt is a tlog-proof file (C2SP): the node's signature over the result, its job and "
                 "its lease, the "
                 "place of that in the node's log, and the log's signed head. 'osier verify' checks it "
                 "offline, on any machine, "
                 "with a policy that says whom to trust.\n\n"
                 "With --format dsse it is an in-toto Statement (SLSA provenance v1) whose subjects are the "
                 "outputs, in a DSSE envelope that the node signs when it is asked for. That says less: it "
                 "has "
                 "no place in the log.",
        .examples = "osier receipt pi-17/sum/0 -o pi.tlog-proof\n"
                    "osier receipt last/main/0 > r.tlog-proof\n"
                    "osier receipt --wait witnessed last/main/0 -o r.tlog-proof\n"
                    "osier receipt --of press-4 last/main/0 -o r.tlog-proof\n"
                    "osier receipt --format dsse last/main/0 -o r.intoto.jsonl",
        .options = options,
        .args_min = 1,
        .args_max = 1,
        .complete = COMPLETE_TASK,
        .run = run,
};
