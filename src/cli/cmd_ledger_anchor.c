/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ledger_anchor - `osier ledger anchor`: heads of the log on public chains and in strangers' books. */
#include "cli/ledger_anchor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/show.h"
#include "messenger/anchor_job.h"

#define CONFIG_BYTES (8u << 20)
#define TROUBLES_MAX 3 /* looks in a row, for each address, that came to nothing before anything was sent */

struct going {
	struct cli *c;
	struct config config;
	void *config_mem;
	const struct config_anchor *chain;
	int enough_fd, stop_fd; /* the latter: the former, or Ctrl-C */
	unsigned troubles;
	bool gave_up;
	struct err why;
	struct text said;
};

/* ---- what it is about ---- */

static int no_chain(struct err *e)
{
	(void)err_set(e, ERR_NOTFOUND, "the configuration names no chain");
	return err_hint(e, "in config.yaml: ledger: {anchors: [{chain: {rpc: https://HOST, id: N}}]}; "
	                   "docs/ledger.md tells how");
}

/* The chain that is meant: the one with that id, or the only one. */
static int choose(struct going *g, const char *id, struct err *e)
{
	char path[4200];
	struct arena a;
	unsigned chains = 0;

	if (cli_must_be_here(g->c, e) < 0)
		return -1;
	g->config_mem = cli_alloc(CONFIG_BYTES);
	arena_init(&a, g->config_mem, CONFIG_BYTES);
	(void)snprintf(path, sizeof(path), "%s/config.yaml", g->c->state_dir);
	if (config_load(&a, path, true, &g->config, e) < 0)
		return -1;
	for (size_t i = 0; i < g->config.n_anchors; i++) {
		const struct config_anchor *at = &g->config.anchors[i];
		char text[24];

		if (at->kind != CONFIG_CHAIN)
			continue;
		chains++;
		(void)snprintf(text, sizeof(text), "%" PRIu64, at->chain.chain_id);
		if (!id || strcmp(id, text) == 0)
			g->chain = at;
	}
	if (!chains)
		return no_chain(e);
	if (!g->chain)
		return err_set(e, ERR_NOTFOUND, "the configuration names no chain %.40s", id);
	if (!id && chains > 1) {
		(void)err_set(e, ERR_INVALID, "the configuration names %u chains", chains);
		return err_hint(e, "say which: 'osier ledger anchor ID'");
	}
	return 0;
}

static int ask_engine(
        void *ctx, const char *method, const char *target, const json_t *body, json_t **out, struct err *e)
{
	struct going *g = ctx;
	struct err ignored;

	*out = ask(g->c, method, target, body, e ? e : &ignored);
	return *out ? 0 : -1;
}

/* ---- progress ---- */

/* One line, drawn over the last on a terminal; a line for each piece of news elsewhere. */
static void say(struct going *g, const char *text)
{
	if (g->said.n && strcmp(text_str(&g->said), text) == 0)
		return;
	text_clear(&g->said);
	text_add(&g->said, text);
	if (term_is_tty(stderr))
		(void)fprintf(stderr, "\r\033[K%.*s", (int)term_columns() - 1, text);
	else
		term_note("%s", text);
}

static void say_end(struct going *g)
{
	if (term_is_tty(stderr) && g->said.n)
		(void)fputs("\r\033[K", stderr);
	text_clear(&g->said);
}

static void gwei(struct text *t, uint64_t wei)
{
	text_addf(t, "%" PRIu64 ".%03" PRIu64 " gwei", wei / 1000000000, wei / 1000000 % 1000);
}

static void describe(const struct going *g, const struct anchor_view *v, struct text *t)
{
	uint64_t wanted = g->chain->chain.confirmations;
	char hash[2 + 64 + 1];

	if (v->tries) {
		(void)evm_data_print(v->hash, 32, hash);
		text_addf(t, "transaction %.10s..., nonce %" PRIu64, hash, v->nonce);
		if (v->tries > 1)
			text_addf(t, ", replaced %u time%s at a higher fee", v->tries - 1,
			        v->tries > 2 ? "s" : "");
	}
	if (v->mined.is && wanted)
		text_addf(t, ": in block %" PRIu64 ", %" PRIu64 " of %" PRIu64 " confirmations",
		        v->mined.block, v->tip >= v->mined.block ? v->tip - v->mined.block + 1 : 0, wanted);
	else if (v->mined.is)
		text_addf(t, ": in block %" PRIu64 ", the chain is final up to %" PRIu64, v->mined.block,
		        v->final);
	else if (v->tries)
		text_add(t, v->reorganised ? ": its block is no more, waiting for another"
		                           : ": waiting for a block");
	if (v->troubled)
		text_addf(t, "%s%s", v->tries ? "; " : "", v->why.msg);
	if (!v->tries && !v->troubled)
		text_add(t, "asking the chain");
}

/* Before something was sent there is nothing to wait for when it cannot be. */
static void tell(void *ctx, const struct anchor_view *v, uint64_t size)
{
	struct going *g = ctx;
	struct text t = {0};

	(void)size;
	describe(g, v, &t);
	say(g, text_str(&t));
	text_release(&t);
	g->troubles = v->troubled && !v->on_its_way && v->outcome == ANCHOR_OPEN ? g->troubles + 1 : 0;
	if (g->troubles >= TROUBLES_MAX * g->chain->n_urls) {
		g->gave_up = true;
		g->why = v->why;
		(void)eventfd_write(g->enough_fd, 1);
	}
}

/* The messenger is at it: show how that stands. */
static void busy(void *ctx)
{
	struct going *g = ctx;
	struct text t = {0};
	struct err e;
	json_t *j = ask_get(g->c, &e, "/v1/ledger/anchors?limit=1&kind=chain");
	const json_t *a = json_array_get(json_object_get(j, "anchors"), 0);

	text_add(&t, "the node is anchoring at present, waiting for that");
	if (a) {
		text_addf(&t, ": the head of %llu entries is %s", (unsigned long long)j_uint(a, "size"),
		        j_str(a, "state"));
		if (*j_str(json_object_get(a, "details"), "trouble"))
			text_addf(&t, "; %s", j_str(json_object_get(a, "details"), "trouble"));
	}
	say(g, text_str(&t));
	text_release(&t);
	json_decref(j);
}

/* ---- the commands ---- */

static int prepare(struct going *g, struct cli *c, const char *id, struct anchor_job *j, struct err *e)
{
	struct epoll_event on = {.events = EPOLLIN};

	g->c = c;
	term_catch_interrupts();
	g->enough_fd = eventfd(0, EFD_CLOEXEC);
	g->stop_fd = epoll_create1(EPOLL_CLOEXEC);
	if (g->enough_fd < 0 || g->stop_fd < 0 ||
	        epoll_ctl(g->stop_fd, EPOLL_CTL_ADD, g->enough_fd, &on) < 0 ||
	        epoll_ctl(g->stop_fd, EPOLL_CTL_ADD, term_interrupt_fd(), &on) < 0)
		return err_sys(e, "cannot wait for events");
	if (choose(g, id, e) < 0)
		return -1;
	*j = (struct anchor_job){.state_dir = c->state_dir,
	        .chain = g->chain,
	        .stop_fd = g->stop_fd,
	        .ask = ask_engine,
	        .tell = tell,
	        .busy = busy,
	        .ctx = g};
	return 0;
}

static void done(struct going *g)
{
	(void)close(g->enough_fd);
	(void)close(g->stop_fd);
	free(g->config_mem);
	text_release(&g->said);
}

/* What went wrong, in the words of what stopped it. */
static int failed(struct going *g, const struct anchor_job *j, struct err *e)
{
	char text[EVM_ADDRESS_TEXT];
	uint8_t account[20];

	say_end(g);
	if (g->gave_up) {
		*e = g->why;
		if (strstr(e->msg, "cannot pay") && anchor_job_account(g->c->state_dir, account, NULL) == 0) {
			evm_address_print(account, text);
			(void)err_hint(
			        e, "send it some on chain %" PRIu64 ": %s", g->chain->chain.chain_id, text);
		}
	} else if (j->state_dir && e->code == ERR_CLOSED && anchor_job_open(j)) {
		term_hint("what was sent is followed by the node; 'osier ledger anchor' shows it again");
	}
	return cli_fail(g->c, e);
}

static json_t *newest(struct cli *c, const struct going *g, const uint8_t contract[20], struct err *e)
{
	char place[ANCHOR_PLACE_MAX];

	anchor_place(g->chain->chain.chain_id, contract, place);
	return ask_get(c, e, "/v1/ledger/anchors?limit=1&kind=chain&place=%s", place);
}

static void print_cost(struct text *t, uint64_t gas, uint64_t price)
{
	unsigned __int128 wei = (unsigned __int128)gas * price;

	if (gas)
		text_addf(t, "%" PRIu64 " gas", gas);
	if (gas && price) {
		text_add(t, ", ");
		gwei(t, wei > UINT64_MAX ? UINT64_MAX : (uint64_t)wei);
	}
}

static void print_deployed(const struct going *g, const struct anchor_view *v)
{
	char contract[EVM_ADDRESS_TEXT], hash[2 + 64 + 1];
	struct text t = {0};

	evm_address_print(v->contract, contract);
	(void)evm_data_print(v->hash, 32, hash);
	if (g->c->json) {
		json_t *j = json_pack("{s:I,s:s,s:s,s:I,s:I}", "chain_id",
		        (json_int_t)g->chain->chain.chain_id, "contract", contract, "transaction", hash,
		        "block", (json_int_t)v->mined.block, "gas", (json_int_t)v->mined.gas_used);

		json_print(j);
		json_decref(j);
		return;
	}
	print_cost(&t, v->mined.gas_used, v->mined.price);
	(void)printf("the contract is on chain %" PRIu64 ": %s\n", g->chain->chain.chain_id, contract);
	show_field("transaction", hash);
	show_fieldf("block", "%" PRIu64, v->mined.block);
	show_field("cost", text_str(&t));
	text_release(&t);
	term_hint("the node knows it now; tell verifiers: osier verify ... --contract %s", contract);
}

static int deploy(struct cli *c, const char *id)
{
	struct going g = {.enough_fd = -1, .stop_fd = -1};
	struct anchor_job_end end;
	struct anchor_job j = {0};
	struct err e = {0};
	int rc = prepare(&g, c, id, &j, &e);

	if (rc == 0)
		rc = anchor_job_deploy(&j, &end, &e);
	if (rc < 0) {
		rc = failed(&g, &j, &e);
	} else {
		say_end(&g);
		print_deployed(&g, &end.view);
	}
	done(&g);
	return rc;
}

static void print_anchored(const struct going *g, const struct anchor_job_end *end)
{
	const struct anchor_view *v = &end->view;
	struct text t = {0};
	char hash[2 + 64 + 1], a[32];

	if (end->nothing_new) {
		(void)printf("the head of %" PRIu64 " entries is on chain %" PRIu64 " already\n", end->size,
		        g->chain->chain.chain_id);
		return;
	}
	if (v->outcome == ANCHOR_ALREADY) {
		(void)printf("chain %" PRIu64 " has a head of %" PRIu64 " entries by another transaction\n",
		        g->chain->chain.chain_id, v->there.size);
		return;
	}
	(void)evm_data_print(v->hash, 32, hash);
	(void)printf("the head of %" PRIu64 " entries is on chain %" PRIu64 " for good\n", end->size,
	        g->chain->chain.chain_id);
	show_field("transaction", hash);
	if (v->mined.time_s)
		show_fieldf("block", "%" PRIu64 " of %s", v->mined.block,
		        clock_text(v->mined.time_s * 1000000000u, cli_now_ns(), a, sizeof(a)));
	else
		show_fieldf("block", "%" PRIu64, v->mined.block);
	print_cost(&t, v->mined.gas_used, v->mined.price);
	if (v->tries > 1)
		text_addf(&t, ", with %u replacements", v->tries - 1);
	show_field("cost", text_str(&t));
	text_release(&t);
}

static int anchor(struct cli *c, const char *id)
{
	struct going g = {.enough_fd = -1, .stop_fd = -1};
	struct anchor_job_end end;
	struct anchor_job j = {0};
	uint8_t contract[20];
	struct err e = {0};
	json_t *list;
	int rc = prepare(&g, c, id, &j, &e);

	if (rc == 0) {
		json_decref(ask(c, "POST", "/v1/ledger/publish", NULL, &e));
		rc = anchor_job_head(&j, &end, &e);
	}
	if (rc < 0) {
		rc = failed(&g, &j, &e);
	} else if (c->json) {
		list = anchor_job_contract(&j, contract, &e) == 0 ? newest(c, &g, contract, &e) : NULL;
		say_end(&g);
		if (list)
			json_print(json_array_get(json_object_get(list, "anchors"), 0));
		else
			rc = cli_fail(c, &e);
		json_decref(list);
	} else {
		say_end(&g);
		print_anchored(&g, &end);
	}
	done(&g);
	return rc;
}

/* ---- the list ---- */

static void list_row(struct table *t, const json_t *a)
{
	const json_t *d = json_object_get(a, "details");
	const char *state = j_str(a, "state"), *slash = strchr(j_str(a, "place"), '/');
	bool chain = strcmp(j_str(a, "kind"), "chain") == 0;
	struct text where = {0}, cost = {0};
	char when[32];

	table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(a, "size"));
	if (chain && slash)
		text_addf(&where, "chain %.*s", (int)(slash - j_str(a, "place")), j_str(a, "place"));
	else
		text_add(&where, j_str(a, "place"));
	table_cell(t, PLAIN, text_str(&where));
	table_cell(t,
	        strcmp(state, "final") == 0 || strcmp(state, "stamped") == 0 ? GREEN
	        : strcmp(state, "failed") == 0                               ? RED
	                                                                     : PLAIN,
	        state);
	if (j_uint(d, "block"))
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(d, "block"));
	else
		table_cell(t, PLAIN, "");
	table_cell(t, PLAIN, clock_text(j_time(a, "time"), cli_now_ns(), when, sizeof(when)));
	print_cost(&cost, j_uint(d, "gas"), j_uint(d, "price"));
	if (*j_str(d, "trouble"))
		text_addf(&cost, "%s%s", cost.n ? "; " : "", j_str(d, "trouble"));
	table_cell(t, PLAIN, text_str(&cost));
	text_release(&where);
	text_release(&cost);
}

static int list(struct cli *c)
{
	struct err e = {0};
	json_t *j = ask_get(c, &e, "/v1/ledger/anchors?limit=100"), *a;
	struct table *t;
	size_t i;

	if (!j)
		return cli_fail(c, &e);
	if (c->json) {
		json_print(j);
		json_decref(j);
		return EXIT_OK;
	}
	if (json_array_size(json_object_get(j, "anchors")) == 0) {
		(void)puts("no head of the log was anchored yet");
		json_decref(j);
		return EXIT_OK;
	}
	t = table_new();
	table_column(t, "ENTRIES", RIGHT, false);
	table_column(t, "WHERE", LEFT, false);
	table_column(t, "STATE", LEFT, false);
	table_column(t, "BLOCK", RIGHT, false);
	table_column(t, "SINCE", LEFT, false);
	table_column(t, "COST", LEFT, true);
	json_array_foreach(json_object_get(j, "anchors"), i, a) list_row(t, a);
	table_print(t);
	table_free(t);
	json_decref(j);
	return EXIT_OK;
}

int ledger_anchor(struct cli *c)
{
	const char *word = c->args.n_args > 1 ? c->args.arg[1] : NULL;
	const char *id = c->args.n_args > 2 ? c->args.arg[2] : NULL;

	if (word && strcmp(word, "list") == 0 && !id)
		return list(c);
	if (word && strcmp(word, "deploy") == 0)
		return deploy(c, id);
	if (!id && (!word || (*word >= '0' && *word <= '9')))
		return anchor(c, word);
	return cli_usage(c, "'osier ledger anchor' takes nothing, a chain's id, list, or deploy");
}
