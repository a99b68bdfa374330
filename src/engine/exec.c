/* SPDX-License-Identifier: Apache-2.0 */
/* exec - runs, and what the keeper says of them; see exec.h. */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/exec_int.h"
#include "engine/gather.h"
#include "engine/rest.h"
#include "io/sha256.h"
#include "wire/entry.h"

/* ---- runs ---- */

static struct run **bucket(struct exec *x, uint64_t lease)
{
	return &x->hash[lease & (RUN_HASH - 1)];
}

struct run *run_find(struct exec *x, uint64_t lease)
{
	struct run *r = *bucket(x, lease);

	while (r && r->lease != lease)
		r = r->hash_next;
	return r;
}

void run_touch(struct exec *x, struct run *r)
{
	if (r->touched)
		return;
	r->touched = true;
	r->touch_next = x->touched;
	x->touched = r;
}

struct results *run_results(struct exec *x, struct run *r)
{
	if (!r->res)
		r->res = x->n_spare ? x->spare[--x->n_spare] : results_new();
	return r->res;
}

static void results_back(struct exec *x, struct run *r)
{
	if (!r->res)
		return;
	results_clear(r->res);
	if (x->n_spare < sizeof(x->spare) / sizeof(x->spare[0]))
		x->spare[x->n_spare++] = r->res;
	else
		results_free(r->res);
	r->res = NULL;
}

static struct run *run_new(struct exec *x, const struct lease_view *v)
{
	struct run *r = x->free_runs, **b = bucket(x, v->id.v);
	struct refusal *refused = r ? r->refused : NULL;
	uint32_t max = r ? r->max_refused : 0;

	if (r)
		x->free_runs = r->hash_next;
	else
		r = malloc(sizeof(*r));
	CHECK(r);
	memset(r, 0, sizeof(*r));
	r->refused = refused;
	r->max_refused = max;
	r->x = x;
	r->lease = v->id.v;
	r->job = v->job.v;
	r->step = v->step;
	r->variant = v->variant;
	r->first = v->first;
	r->end = v->first + v->count;
	r->next = r->told = r->sent = r->durable = v->cursor;
	r->granted_ns = v->granted_ns;
	r->commits = engine_commits(x->n->engine, v->id);
	r->n_devices = v->n_devices;
	memcpy(r->devices, v->devices, v->n_devices * sizeof(r->devices[0]));
	r->begun = r->refused_at = UINT64_MAX;
	r->received = v->cursor;
	r->parked_end = &r->parked;
	r->hash_next = *b;
	*b = r;
	x->n_runs++;
	return r;
}

static void run_free(struct exec *x, struct run *r)
{
	struct run **p = bucket(x, r->lease);

	CHECK(!r->gathering && !r->touched && !r->waiting && !r->slot && !r->staged);
	while (*p != r)
		p = &(*p)->hash_next;
	*p = r->hash_next;
	parked_drop(r);
	results_back(x, r);
	run_unpack(r);
	spec_release(&r->spec);
	r->hash_next = x->free_runs;
	x->free_runs = r;
	x->n_runs--;
}

/* The job's side of the run: specification, submitter, timeouts as they are now. */
/* Each lease of a hub's is a job of its own here. */
static uint64_t likeness_of(const Wire__JobSpec *spec, const Wire__Step *s, uint32_t uid)
{
	Wire__Step same = *s;
	struct sha256 *h;
	uint8_t *bytes, digest[SHA256_BYTES];
	uint64_t out;
	size_t n;

	if (!s->worker || !s->tasks_whole)
		return 0;
	same.tasks = same.index_first = 0;
	same.sources = NULL;
	n = wire__step__get_packed_size(&same);
	bytes = malloc(n);
	CHECK(bytes && wire__step__pack(&same, bytes) == n);
	h = sha256_new();
	sha256_update(h, spec->name, strlen(spec->name) + 1);
	sha256_update(h, spec->namespace_, strlen(spec->namespace_) + 1);
	sha256_update(h, &uid, sizeof(uid));
	sha256_update(h, bytes, n);
	sha256_end(h, digest);
	sha256_free(h);
	free(bytes);
	memcpy(&out, digest, sizeof(out));
	return out ? out : 1;
}

static int run_know(struct exec *x, struct run *r, struct err *e)
{
	struct job_view job;
	struct step_view step;

	if (spec_hold(x->n->specs, x->n->engine, (job_id){r->job}, &r->spec, e) < 0)
		return -1;
	if (!engine_job(x->n->engine, (job_id){r->job}, &job) ||
	        !engine_step(x->n->engine, (job_id){r->job}, r->step, &step) ||
	        r->step >= r->spec.spec->n_steps || r->variant >= r->spec.spec->steps[r->step]->n_variants)
		return err_set(e, ERR_CORRUPT, "the lease does not fit its job's specification");
	r->s = r->spec.spec->steps[r->step];
	r->v = r->s->variants[r->variant];
	r->uid = job.uid;
	r->gid = job.gid;
	r->run_timeout_ns = step.run_timeout_ns;
	r->likeness = likeness_of(r->spec.spec, r->s, r->uid);
	return 0;
}

/* ---- results to the core ---- */

uint64_t slot_who(const struct slot *s)
{
	return s ? (s->worker.link ? s->worker.generation << 16 : 0) | s->id : 0;
}

/* The core may have given the lease up (EXPIRED): then nobody waits for its results. */
static bool is_live(const struct exec *x, const struct run *r)
{
	struct lease_view v;

	return engine_lease(x->n->engine, (lease_id){r->lease}, &v);
}

void run_tell(struct exec *x, struct run *r)
{
	Wire__Results m;

	if (!r->res || r->res->n == 0)
		return;
	if (is_live(x, r) && r->commits) {
		commit_tell(x, r, r->res);
		results_back(x, r);
		return;
	}
	results_message(r->res, &m);
	m.lease = r->lease;
	m.first = r->told;
	r->told += r->res->n;
	if (is_live(x, r))
		round_results(x->n, &m, r->res->small, r->res->small_bytes, slot_who(r->slot));
	else
		round_hold_ack(x->n, (lease_id){r->lease}, r->told, slot_who(r->slot));
	results_back(x, r);
}

/* Nothing of it runs any more: its slot is for others, as soon as what was told is durable. */
static void leave_slot(struct exec *x, struct run *r)
{
	struct slot *s = r->slot;

	/* A worker's own EXITED, and STOPPED, are acknowledged by the index of a worker. */
	if (r->stopped || r->exited)
		round_hold_ack(x->n, (lease_id){r->lease}, 0, 0);
	r->slot = NULL;
	/* Its worker keeps the results until they are durable, and is found by its lease: it gets no other before that. */
	if (s) {
		s->run = NULL;
		s->ending = true;
		round_hold_slot(x->n, s->id);
	}
}

static void run_end(struct exec *x, struct run *r)
{
	Wire__LeaseEnded m = WIRE__LEASE_ENDED__INIT;
	struct command cmd = {.kind = CMD_LEASE_ENDED, .u.ended = &m};

	m.lease = r->lease;
	m.reason = r->reason;
	m.note = r->note;
	if (is_live(x, r))
		round_command(x->n, &cmd, NULL, 0, NULL);
	leave_slot(x, r);
	run_free(x, r);
}

void exec_slot_free(struct exec *x, uint32_t slot)
{
	x->slots[slot].ending = false;
	slot_give(x, &x->slots[slot]);
}

/* Everything that is to be said of the run was said. */
static bool run_over(const struct run *r)
{
	if (r->parked || r->gathering)
		return false;
	if (r->stopped)
		return true;
	return r->next == r->end && !r->stopping;
}

static void unstage(struct exec *x, struct run *r)
{
	struct run **p = &x->staged;

	if (!r->staged)
		return;
	while (*p != r)
		p = &(*p)->staged_next;
	*p = r->staged_next;
	r->staged = false;
}

static void tell_staged(struct exec *x)
{
	while (x->staged) {
		struct run *r = x->staged;

		unstage(x, r);
		run_tell(x, r);
	}
}

static void on_tell(uv_timer_t *t)
{
	struct exec *x = t->data;

	x->tell_armed = false;
	tell_staged(x);
}

/* A lease that has more to come: its results become one entry with those of the next moments. */
static void stage(struct exec *x, struct run *r)
{
	if (r->staged || !r->res || r->res->n == 0)
		return;
	r->staged = true;
	r->staged_next = x->staged;
	x->staged = r;
	if (x->tell_armed)
		return;
	x->tell_armed = true;
	uv_update_time(&x->n->loop);
	(void)uv_timer_start(&x->tell_timer, on_tell, TELL_NS / 1000000, 0);
}

void exec_round(struct exec *x)
{
	while (x->touched) {
		struct run *r = x->touched;

		x->touched = r->touch_next;
		r->touched = false;
		if (!run_over(r)) {
			stage(x, r);
			continue;
		}
		unstage(x, r);
		run_tell(x, r);
		if (r->reveal && !r->stopped ? !commit_reveal(x, r) : commit_waits(x, r)) {
			if (!r->held)
				leave_slot(x, r);
			r->held = true;
			continue;
		}
		run_end(x, r);
	}
	if (x->n->stopping)
		tell_staged(x);
}

bool exec_has_more(const struct exec *x)
{
	return x->touched != NULL;
}

void run_refuse(struct exec *x, struct run *r, uint64_t index, const char *note)
{
	uint32_t at = r->n_refused;

	if (at == r->max_refused) {
		r->max_refused = at ? at * 2 : 8;
		r->refused = reallocarray(r->refused, r->max_refused, sizeof(*r->refused));
		CHECK(r->refused);
	}
	while (at > 0 && r->refused[at - 1].index > index) {
		r->refused[at] = r->refused[at - 1];
		at--;
	}
	r->refused[at].index = index;
	(void)snprintf(r->refused[at].note, sizeof(r->refused[at].note), "%s", note);
	r->n_refused++;
	run_refusals(x, r);
}

void run_refusals(struct exec *x, struct run *r)
{
	struct result_row row = {.outcome = WIRE__OUTCOME__CANNOT_START};

	while (r->n_refused && r->refused[0].index <= r->next) {
		if (r->refused[0].index == r->next) {
			struct results *res = run_results(x, r);

			results_row(res, &row);
			results_note(res, r->refused[0].note);
			r->next++;
			if (r->received < r->next)
				r->received = r->next;
		}
		r->n_refused--;
		memmove(r->refused, r->refused + 1, r->n_refused * sizeof(*r->refused));
	}
	run_touch(x, r);
}

void run_stopped(struct exec *x, struct run *r, Wire__StopReason reason, const char *note)
{
	if (r->stopped)
		return;
	r->stopped = true;
	if (!r->stopping || r->killed)
		r->reason = reason;
	if (note && !r->note[0])
		(void)snprintf(r->note, sizeof(r->note), "%s", note);
	run_touch(x, r);
}

/* ---- what a START is made of ---- */

static bool indexed(void *ctx, const char *resource)
{
	const struct run *r = ctx;
	const struct node *n = r->x->n;

	for (size_t i = 0; i < n->n_devices; i++)
		if (strcmp(n->devices[i].resource, resource) == 0)
			return true;
	return false;
}

static char vendor(void *ctx, const char *resource, uint32_t index, uint32_t *out_number)
{
	const struct run *r = ctx;
	const struct node *n = r->x->n;

	for (size_t i = 0; i < n->n_devices; i++) {
		if (n->devices[i].index == index && strcmp(n->devices[i].resource, resource) == 0) {
			*out_number = n->devices[i].number;
			return n->devices[i].vendor;
		}
	}
	return '-';
}

static void user_look_up(struct exec *x, uint32_t uid, uint32_t gid)
{
	char buf[4096];
	struct passwd pw, *found = NULL;

	if (x->user_known && x->user.uid == uid && x->user.gid == gid)
		return;
	x->user = (struct start_user){.uid = uid, .gid = gid, .name = x->user_name, .home = x->user_home};
	x->user_name[0] = x->user_home[0] = '\0';
	if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) == 0 && found) {
		(void)snprintf(x->user_name, sizeof(x->user_name), "%s", pw.pw_name);
		(void)snprintf(x->user_home, sizeof(x->user_home), "%s", pw.pw_dir);
	}
	x->user_known = true;
}

static int keep_text(void *ctx, const void *p, size_t n, bool same, uint8_t out_sha256[32], struct err *e)
{
	struct run *r = ctx;

	if (same && r->kept) {
		memcpy(out_sha256, r->kept_sha256, sizeof(r->kept_sha256));
		return 0;
	}
	if (blobs_put(r->x->n->blobs, p, n, out_sha256, e) < 0)
		return -1;
	if (same) {
		memcpy(r->kept_sha256, out_sha256, sizeof(r->kept_sha256));
		r->kept = true;
	}
	return 0;
}

void run_start_in(struct exec *x, struct run *r, uint64_t task, struct start_in *out)
{
	const Wire__JobSpec__As *as = r->spec.spec->as; /* of a hub's: who they are there */

	user_look_up(x, r->uid, r->gid);
	r->building = task;
	r->inline_bytes = 0;
	*out = (struct start_in){.spec = r->spec.spec,
	        .step = r->step,
	        .variant = r->v,
	        .job = as ? as->job : r->job,
	        .attempt = as ? as->attempt : r->lease,
	        .task = task,
	        .node = as ? as->node : x->n->name,
	        .user = x->user,
	        .worker = r->s->worker != NULL,
	        .has_gpus = x->n->has_gpus,
	        .vendor = vendor,
	        .devices = r->devices,
	        .n_devices = r->n_devices,
	        .indexed = indexed,
	        .source = source_find,
	        .reduce = source_reduce,
	        .keep = keep_text,
	        .line = source_line,
	        .ctx = r,
	        .run_timeout_ns = r->run_timeout_ns,
	        .pack = run_pack(r)};
}

int exec_send(struct exec *x, const struct keeper_msg *m, struct err *e)
{
	return keeper_link_send(x->keeper, m, e);
}

/* ---- effects ---- */

void run_begin(struct exec *x, struct run *r)
{
	if (files_await(x, r))
		return;
	if (!slot_take(x, r)) {
		r->waiting = true;
		r->wait_next = NULL;
		*x->waiting_end = r;
		x->waiting_end = &r->wait_next;
		return;
	}
	if (r->s->worker)
		worker_begin(x, r);
	else
		process_fill(x, r);
}

/* A slot became free. */
static void serve_waiting(struct exec *x)
{
	while (x->waiting) {
		struct run *r = x->waiting;

		if (!slot_take(x, r))
			return;
		x->waiting = r->wait_next;
		if (!x->waiting)
			x->waiting_end = &x->waiting;
		r->waiting = false;
		if (r->s->worker)
			worker_begin(x, r);
		else
			process_fill(x, r);
	}
}

static void unwait(struct exec *x, struct run *r)
{
	struct run **p = &x->waiting;

	while (*p != r)
		p = &(*p)->wait_next;
	*p = r->wait_next;
	x->waiting_end = &x->waiting;
	while (*x->waiting_end)
		x->waiting_end = &(*x->waiting_end)->wait_next;
	r->waiting = false;
}

void exec_start(struct exec *x, lease_id lease)
{
	struct lease_view v;
	struct run *r;

	if (!engine_lease(x->n->engine, lease, &v) || run_find(x, lease.v))
		return;
	r = run_take_up(x, &v);
	/* A lease that was stopped before it began: exec_stop() follows. */
	if (!v.stopping && !r->stopped)
		run_begin(x, r);
}

struct run *run_take_up(struct exec *x, const struct lease_view *v)
{
	struct run *r = run_new(x, v);
	struct err e;

	if (run_know(x, r, &e) < 0)
		run_stopped(x, r, WIRE__STOP_REASON__COULD_NOT_START, e.msg);
	return r;
}

static uint32_t stop_signal(const struct run *r)
{
	if (r->reason == WIRE__STOP_REASON__PREEMPTED && r->s && r->s->checkpoint_signal)
		return r->s->checkpoint_signal;
	return SIGTERM;
}

void exec_stop(struct exec *x, lease_id lease, Wire__StopReason reason)
{
	struct run *r = run_find(x, lease.v);
	struct keeper_msg m = {.kind = KEEPER_STOP, .lease = lease.v};
	struct lease_view v;

	if (!r) {
		if (!engine_lease(x->n->engine, lease, &v))
			return;
		r = run_take_up(x, &v);
	}
	if (r->stopping || r->stopped)
		return;
	r->stopping = true;
	r->reason = reason;
	if (r->waiting)
		unwait(x, r);
	if (!r->slot) {
		run_stopped(x, r, reason, NULL);
		return;
	}
	m.u.stop.signal = stop_signal(r);
	m.u.stop.grace_ns = r->s ? r->s->grace_ns : 0;
	(void)exec_send(x, &m, NULL);
}

void exec_ack(struct exec *x, lease_id lease, uint64_t cursor, uint64_t who)
{
	struct keeper_msg m = {.kind = KEEPER_ACK, .lease = lease.v, .index = cursor - 1};
	struct slot *s = &x->slots[who & 0xffff];

	if (who >> 16 == 0)
		(void)exec_send(x, &m, NULL);
	else if (s->worker.link && s->worker.generation == who >> 16)
		worker_link_ack(s->worker.link, lease.v, cursor);
}

void exec_adjusted(struct exec *x, job_id job)
{
	for (size_t i = 0; i < RUN_HASH; i++) {
		for (struct run *r = x->hash[i]; r; r = r->hash_next) {
			struct keeper_msg m = {.kind = KEEPER_ADJUST, .lease = r->lease};
			struct step_view step;

			if (r->job != job.v || !r->s || !engine_step(x->n->engine, job, r->step, &step) ||
			        step.run_timeout_ns == r->run_timeout_ns)
				continue;
			r->run_timeout_ns = step.run_timeout_ns;
			if (!r->slot)
				continue;
			m.u.adjust.timeout_ns = step.run_timeout_ns;
			if (r->s->worker)
				exec_timer_at(x, worker_due_ns(x, r));
			else
				(void)exec_send(x, &m, NULL);
		}
	}
}

int exec_follow(
        struct exec *x, lease_id lease, uint64_t task, int stream, char *out_path, size_t room, struct err *e)
{
	struct run *r = run_find(x, lease.v);
	struct keeper_msg m = {.kind = KEEPER_FOLLOW, .flags = KEEPER_FOLLOWED, .lease = lease.v};

	if (!r || !r->slot || task < r->next || task >= r->sent)
		return err_set(e, ERR_NOTFOUND, "the task does not run");
	if (r->s->worker)
		(void)snprintf(out_path, room, "%s/spool/%llu-%llu.%s", x->n->state_dir,
		        (unsigned long long)lease.v, (unsigned long long)KEEPER_INDEX_WORKER,
		        stream ? "err" : "out");
	else
		(void)snprintf(out_path, room, "%s/spool/%llu-%llu.%s", x->n->state_dir,
		        (unsigned long long)lease.v, (unsigned long long)task, stream ? "err" : "out");
	return exec_send(x, &m, e);
}

/* ---- the loop's side ---- */

static void on_keeper_poll(uv_poll_t *h, int status, int events)
{
	struct exec *x = h->data;

	(void)status;
	(void)events;
	keeper_link_ready(x->keeper);
	serve_waiting(x);
}

void exec_flush(struct exec *x)
{
	int want;

	if (!x->keeper || x->lost)
		return;
	serve_waiting(x);
	exec_tell_resumed(x);
	keeper_link_flush(x->keeper);
	workers_adopted(x);
	want = UV_READABLE | (keeper_link_events(x->keeper) & 4 /* POLLOUT */ ? UV_WRITABLE : 0);
	if (x->lost || (x->polling && want == x->polled_events))
		return;
	x->polling = true;
	x->polled_events = want;
	(void)uv_poll_start(&x->keeper_poll, want, on_keeper_poll);
}

int exec_new(struct node *n, int keeper_fd, struct exec **out, struct err *e)
{
	struct exec *x = calloc(1, sizeof(*x));
	struct keeper_link_callbacks cb = {.on_message = exec_on_message, .on_lost = exec_on_lost, .ctx = x};

	CHECK(x);
	x->n = n;
	x->waiting_end = &x->waiting;
	if (keeper_link_open(keeper_fd, &cb, &x->keeper, e) < 0) {
		free(x);
		return -1;
	}
	x->builder = start_builder_new();
	growing_init(&x->member, 4096, 1u << 20);
	x->packet = malloc(WORKER_PACKET_MAX);
	CHECK(x->packet);
	CHECK(uv_poll_init(&n->loop, &x->keeper_poll, keeper_link_fd(x->keeper)) == 0);
	CHECK(uv_timer_init(&n->loop, &x->timer) == 0 && uv_timer_init(&n->loop, &x->tell_timer) == 0);
	x->tell_timer.data = x;
	x->keeper_poll.data = x;
	x->timer.data = x;
	*out = x;
	return 0;
}

void exec_shutdown(struct exec *x)
{
	struct keeper_msg m = {.kind = KEEPER_SHUTDOWN, .u.shutdown.grace_ns = 5000000000ull};

	if (!x->shutting)
		(void)exec_send(x, &m, NULL);
	x->shutting = true;
	exec_flush(x);
}

const char *exec_notice(const struct exec *x)
{
	return x->notice;
}

static void on_handle_closed(uv_handle_t *h)
{
	struct exec *x = h->data;

	if (++x->handles_closed == 3)
		free(x);
}

/* Its handles are the loop's until the loop has closed them, which the node makes it do afterwards. */
void exec_free(struct exec *x)
{
	if (!x)
		return;
	for (uint32_t i = 0; i < x->slots_used; i++) {
		worker_drop(x, &x->slots[i]);
		spec_release(&x->slots[i].spec);
	}
	for (size_t i = 0; i < RUN_HASH; i++) {
		while (x->hash[i]) {
			struct run *r = x->hash[i];

			r->touched = r->waiting = r->staged = false;
			r->slot = NULL;
			gather_forget(r->gathering); /* its thread may still be at it */
			r->gathering = NULL;
			run_free(x, r);
		}
	}
	while (x->free_runs) {
		struct run *r = x->free_runs;

		x->free_runs = r->hash_next;
		free(r->refused);
		free(r);
	}
	while (x->n_spare)
		results_free(x->spare[--x->n_spare]);
	compares_free(x);
	sources_free(x);
	files_free(x);
	(void)uv_poll_stop(&x->keeper_poll);
	keeper_link_close(x->keeper);
	start_builder_free(x->builder);
	growing_release(&x->member);
	free(x->packet);
	uv_close((uv_handle_t *)&x->keeper_poll, on_handle_closed);
	uv_close((uv_handle_t *)&x->timer, on_handle_closed);
	uv_close((uv_handle_t *)&x->tell_timer, on_handle_closed);
}
