/* SPDX-License-Identifier: Apache-2.0 */
/* node - opening, the loop, watches and views; see node.h. The rounds are in round.c. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/carrier.h"
#include "engine/exec.h"
#include "engine/hub.h"
#include "engine/hub_copies.h"
#include "engine/links.h"
#include "engine/listener.h"
#include "engine/node_int.h"
#include "engine/parent.h"
#include "engine/rest.h"
#include "engine/fabric.h"
#include "engine/witness.h"

#define REST_MS      20000      /* after a start, with whatever link it has */
#define CONFIG_BYTES (8u << 20) /* address space: a configuration of 1 MiB, decoded */

/* ---- the loop's callbacks ---- */

static void on_prepare(uv_prepare_t *h)
{
	round_end(h->data);
}

static void on_check(uv_check_t *h)
{
	round_end(h->data);
}

static void on_signal(uv_signal_t *h, int sig)
{
	(void)sig;
	node_stop(h->data);
}

static void on_journal(uv_poll_t *h, int status, int events)
{
	struct node *n = h->data;

	(void)status;
	(void)events;
	journal_poll(n->journal);
}

/* What is durable is let go at the end of the round, and published in time. */
static void on_durable(void *ctx, uint64_t last_seq)
{
	(void)last_seq;
	ledger_note(ctx);
}

static void on_failed(void *ctx, const struct err *e)
{
	struct node *n = ctx;

	n->broken = true;
	n->broken_why = *e;
	uv_stop(&n->loop);
}

static int loop_open(struct node *n, struct err *e)
{
	if (uv_loop_init(&n->loop) < 0)
		return err_set(e, ERR_SYSTEM, "cannot make an event loop");
	n->loop_open = true;
	CHECK(uv_prepare_init(&n->loop, &n->prepare) == 0 && uv_check_init(&n->loop, &n->check) == 0 &&
	        uv_idle_init(&n->loop, &n->again) == 0 && uv_timer_init(&n->loop, &n->timer) == 0 &&
	        uv_timer_init(&n->loop, &n->rest) == 0 && uv_signal_init(&n->loop, &n->term) == 0 &&
	        uv_signal_init(&n->loop, &n->interrupt) == 0);
	n->prepare.data = n->check.data = n->again.data = n->timer.data = n->term.data = n->interrupt.data =
	        n;
	(void)uv_prepare_start(&n->prepare, on_prepare);
	(void)uv_check_start(&n->check, on_check);
	(void)uv_signal_start(&n->term, on_signal, SIGTERM);
	(void)uv_signal_start(&n->interrupt, on_signal, SIGINT);
	return 0;
}

/* ---- opening ---- */

static int open_config(struct node *n, const char *path, struct err *e)
{
	char own[4096];

	n->config_mem = mmap(NULL, CONFIG_BYTES, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (n->config_mem == MAP_FAILED) {
		n->config_mem = NULL;
		return err_sys(e, "cannot map memory for the configuration");
	}
	arena_init(&n->config_arena, n->config_mem, CONFIG_BYTES);
	(void)snprintf(own, sizeof(own), "%s/config.yaml", n->state_dir);
	if (config_load(&n->config_arena, path ? path : own, path == NULL, &n->config, e) < 0)
		return -1;
	if (n->config.name[0])
		(void)snprintf(n->name, sizeof(n->name), "%s", n->config.name);
	else if (gethostname(n->name, sizeof(n->name) - 1) < 0 || !n->name[0])
		(void)snprintf(n->name, sizeof(n->name), "node");
	return 0;
}

static struct journal_options journal_opts(struct node *n)
{
	struct journal_options o = {.read_only = n->read_only,
	        .record = n->record,
	        .standby = n->want_standby,
	        .on_entry = standby_entry,
	        .on_primary = standby_primary,
	        .on_durable = on_durable,
	        .on_failed = on_failed,
	        .ctx = n};

	if (!o.record && n->config.record[0]) {
		o.record = n->config.record;
		o.standby |= n->config.standby;
	}
	return o;
}

static int open_stores(struct node *n, struct err *e)
{
	struct journal_options jo = journal_opts(n);
	struct blobs_limits limits = {.bytes_max = n->config.blobs_bytes,
	        .keep_free = n->config.disk_reserve_bytes ? n->config.disk_reserve_bytes : 1,
	        .age_max_s = n->config.blobs_age_ns / 1000000000u};

	if (journal_open(n->state_dir, &jo, &n->journal, e) < 0)
		return -1;
	if (blobs_open(n->state_dir, &limits, &n->blobs, e) < 0)
		return -1;
	if (journal_is_standby(n->journal))
		n->read_only = true; /* until it takes over */
	if (recover_fold(n, e) < 0)
		return -1;
	if (journal_reader_open(n->state_dir, &n->reader, e) < 0)
		return -1;
	n->specs = spec_cache_new();
	round_init(n);
	return 0;
}

void node_notice_over(struct node *n, const char *what)
{
	size_t len = strlen(what);
	char *line = n->notices, *end;

	while (*line) {
		end = strchr(line, '\n');
		end = end ? end + 1 : line + strlen(line);
		if (strncmp(line, what, len) == 0 && line[len] == ':')
			memmove(line, end, strlen(end) + 1);
		else
			line = end;
	}
	len = strlen(n->notices);
	if (len && n->notices[len - 1] == '\n')
		n->notices[len - 1] = '\0';
}

void node_notice(struct node *n, const char *what, const struct err *e)
{
	size_t at;

	node_notice_over(n, what); /* said before, of another try */
	at = strlen(n->notices);

	(void)snprintf(n->notices + at, sizeof(n->notices) - at, "%s%s: %s%s%s", at ? "\n" : "", what, e->msg,
	        e->hint[0] ? "; " : "", e->hint);
}

/* In the listener's thread. */
static void on_add_checkpoint(void *ctx, const char *body, size_t n, struct listener_reply *out)
{
	struct witness_reply r;

	witness_add_checkpoint(ctx, body, n, clock_wall_ns() / 1000000000u, &r);
	*out = (struct listener_reply){
	        .status = r.status, .type = r.type, .body = malloc(r.n), .body_n = r.n};
	CHECK(out->body);
	memcpy(out->body, r.body, r.n);
}

static void open_witnesses(struct node *n, struct listener_options *o)
{
	char vkey[NOTE_VKEY_MAX];
	struct ledger_status s;
	struct err why = {0};

	ledger_status(n, &s);
	if (!s.on)
		return;
	ledger_vkey(n, vkey);
	if (n->config.policy[0] && witnesses_open(n, vkey, &why) < 0)
		node_notice(n, "no witness is asked", &why);
	if (!n->config.witness[0])
		return;
	if (ledger_open_witness(n, &why) < 0) {
		node_notice(n, "no log is witnessed", &why);
		return;
	}
	o->add_checkpoint = on_add_checkpoint;
	o->ctx = n->witness;
}

/* Without its ledger, or nobody to read it, a node runs jobs all the same; it must be seen that nothing is signed or served. */
static void open_ledger(struct node *n)
{
	struct listener_options o = {.address = n->config.ledger_listen,
	        .state_dir = n->state_dir,
	        .entries = n->config.ledger_entries_public};
	struct err why = {0};

	if (ledger_init(n, &why) < 0) {
		node_notice(n, "the ledger is off", &why);
		ledger_stop(n);
	}
	open_witnesses(n, &o);
	if (o.address[0] && listener_open(&o, &n->listener, &why) < 0)
		node_notice(n, "the ledger is not served", &why);
}

static bool is_root(int socket_fd)
{
	struct ucred peer = {.uid = UINT32_MAX};
	socklen_t n = sizeof(peer);

	return getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.uid == 0;
}

void node_watch_journal(struct node *n)
{
	CHECK(uv_poll_init(&n->loop, &n->journal_poll, journal_fd(n->journal)) == 0);
	n->journal_poll.data = n;
	(void)uv_poll_start(&n->journal_poll, UV_READABLE, on_journal);
}

int node_open_live(struct node *n, struct err *e)
{
	n->keeper_root = is_root(n->keeper_fd);
	if (exec_new(n, n->keeper_fd, &n->exec, e) < 0 || exec_hello(n->exec, e) < 0)
		return -1;
	/* What another engine granted may run beside it: nothing of that begins here. */
	if (journal_was_elsewhere(n->journal))
		exec_not_resumed(n->exec);
	(void)snprintf(n->notices, sizeof(n->notices), "%s", exec_notice(n->exec));
	if (recover_boot(n, e) < 0)
		return -1;
	history_init(n);
	open_ledger(n);
	messenger_init(n, n->config_path);
	hub_init(n);
	parent_init(n);
	fabric_init(n);
	links_init(n);
	exec_resume(n->exec);
	round_end(n);
	return 0;
}

static int open_rest(struct node *n, struct err *e)
{
	if (journal_is_standby(n->journal))
		return standby_open(n, e);
	if (n->read_only)
		return 0;
	node_watch_journal(n);
	return node_open_live(n, e);
}

int node_open(const struct node_options *o, struct node **out, struct err *e)
{
	struct node *n = calloc(1, sizeof(*n));

	CHECK(n);
	n->read_only = o->keeper_fd < 0;
	n->keeper_fd = o->keeper_fd;
	n->record = o->record;
	n->want_standby = o->standby;
	n->config_path = o->config;
	n->state_dir = realpath(o->state_dir, NULL);
	if (!n->state_dir) {
		(void)err_sys(e, "cannot use the state folder '%s'", o->state_dir);
		free(n);
		return -1;
	}
	if (open_config(n, o->config, e) < 0 || loop_open(n, e) < 0 || open_stores(n, e) < 0 ||
	        open_rest(n, e) < 0) {
		node_close(n);
		return -1;
	}
	n->record = NULL;
	*out = n;
	return 0;
}

static void on_rest(uv_timer_t *t)
{
	(void)t;
	rest_give_memory_back();
}

int node_run(struct node *n, struct err *e)
{
	n->running = true;
	if (!n->read_only)
		(void)uv_timer_start(&n->rest, on_rest, REST_MS, 0);
	(void)uv_run(&n->loop, UV_RUN_DEFAULT);
	if (!n->broken)
		return 0;
	*e = n->broken_why;
	return err_wrap(e, "the journal failed, the engine stops");
}

void node_stop(struct node *n)
{
	n->stopping = true;
	if (n->read_only)
		uv_stop(&n->loop);
}

void node_hand_over(struct node *n)
{
	n->handing_over = true;
	journal_keep_record(n->journal);
	node_stop(n);
}

bool node_hands_over(const struct node *n)
{
	return n->handing_over;
}

void node_shutdown(struct node *n)
{
	/* The keeper stops the tasks, tells how they ended, and goes; then we go (see exec.c, on_lost()). */
	if (n->read_only || !n->exec)
		node_stop(n);
	else
		exec_shutdown(n->exec);
}

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void node_close(struct node *n)
{
	if (!n)
		return;
	/* Nothing is decided any more: a round's end must find a node that stands still. */
	n->read_only = true;
	standby_close(n);
	round_close(n);
	snapshots_close(n);
	ledger_stop(n);
	messenger_stop(n);
	links_stop(n);
	fabric_stop(n);
	hub_stop(n);
	parent_stop(n);
	carrier_stop(n);
	history_stop(n);
	exec_free(n->exec);
	if (n->loop_open) {
		uv_walk(&n->loop, close_handle, NULL);
		/* Once is not enough when somebody asked the loop to stop. */
		while (uv_run(&n->loop, UV_RUN_DEFAULT) != 0)
			;
		(void)uv_loop_close(&n->loop);
	}
	listener_close(n->listener);
	links_close(n);
	hub_close(n);
	carrier_close(n);
	hub_copies_close(n);
	fabric_close(n);
	parent_close(n);
	history_close(n);
	ledger_close(n);
	witness_close(n->witness);
	witnesses_close(n);
	messenger_close(n);
	journal_close(n->journal);
	journal_reader_close(n->reader);
	blobs_close(n->blobs);
	spec_cache_free(n->specs);
	round_release(n);
	while (n->watches) {
		struct node_watch *w = n->watches;

		n->watches = w->next;
		free(w);
	}
	if (n->region)
		(void)munmap(n->region, n->region_bytes);
	if (n->config_mem)
		(void)munmap(n->config_mem, CONFIG_BYTES);
	free(n->state_dir);
	free(n);
}

/* ---- watches ---- */

struct node_watch *node_watch(struct node *n, job_id job, node_watch_fn fn, void *ctx)
{
	struct node_watch *w = calloc(1, sizeof(*w));

	CHECK(w);
	w->node = n;
	w->job = job.v;
	w->fn = fn;
	w->ctx = ctx;
	w->next = n->watches;
	if (n->watches)
		n->watches->prev = w;
	n->watches = w;
	return w;
}

void node_unwatch(struct node_watch *w)
{
	if (!w)
		return;
	w->dead = true;
	w->node->watches_due = true;
}

/* ---- views ---- */

int node_follow(struct node *n, job_id job, uint32_t step, uint64_t task, int stream, char *out_path,
        size_t room, struct err *e)
{
	struct task_view t;

	if (!n->exec || !engine_task(n->engine, job, step, task, &t) || t.lease.v == 0)
		return err_set(e, ERR_NOTFOUND, "the task does not run");
	return exec_follow(n->exec, t.lease, task, stream, out_path, room, e);
}

const char *node_ledger_url(const struct node *n)
{
	return listener_url(n->listener);
}

struct witness *node_witness(struct node *n)
{
	return n->witness;
}

uv_loop_t *node_loop(struct node *n)
{
	return &n->loop;
}

uint64_t node_now_ns(const struct node *n)
{
	return round_now_ns((struct node *)(uintptr_t)n);
}

const struct engine *node_engine(const struct node *n)
{
	return n->engine;
}

struct journal *node_journal(struct node *n)
{
	return n->journal;
}

struct journal_reader *node_reader(struct node *n)
{
	return n->reader;
}

struct blobs *node_blobs(struct node *n)
{
	return n->blobs;
}

const char *node_state_dir(const struct node *n)
{
	return n->state_dir;
}

const char *node_name(const struct node *n)
{
	return n->name;
}

uint32_t node_pack(const struct node *n)
{
	return n->config.pack;
}

bool node_read_only(const struct node *n)
{
	return n->read_only;
}

bool node_standby(const struct node *n)
{
	return n->standby != NULL;
}

const char *node_notices(const struct node *n)
{
	return n->notices;
}
