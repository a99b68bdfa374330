/* SPDX-License-Identifier: Apache-2.0 */
/* exec_worker - worker tasks: one process a slot, batches to it, results from it; see exec_int.h. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "core/sources.h"
#include "engine/exec_int.h"
#include "engine/gather.h"
#include "io/sha256.h"

/* ---- the worker's process ---- */

void worker_drop(struct exec *x, struct slot *s)
{
	struct worker *w = &s->worker;

	(void)x;
	worker_link_close(w->link);
	for (uint32_t i = 0; i < w->n_names; i++)
		free(w->names[i]);
	free(w->names);
	memset(w, 0, sizeof(*w));
}

static void tell_from_now_on(struct exec *x, const struct run *r)
{
	for (uint32_t i = 0; i < x->n_told; i++)
		if (x->told[i].job == r->job && x->told[i].step == r->step)
			return;
	/* The oldest is forgotten: telling only makes a search shorter. */
	if (x->n_told == STEPS_TOLD_MAX)
		memmove(x->told, x->told + 1, --x->n_told * sizeof(x->told[0]));
	x->told[x->n_told].job = r->job;
	x->told[x->n_told++].step = r->step;
}

static bool is_told(const struct exec *x, const struct run *r)
{
	for (uint32_t i = 0; i < x->n_told; i++)
		if (x->told[i].job == r->job && x->told[i].step == r->step)
			return true;
	return false;
}

/* The same outcome for every task that is left. */
static void all_cannot_start(struct exec *x, struct run *r, const char *note)
{
	struct result_row row = {.outcome = WIRE__OUTCOME__CANNOT_START};
	struct results *res;

	for (; r->next < r->end; r->next++) {
		if (r->res && !results_room(r->res))
			run_tell(x, r);
		res = run_results(x, r);
		results_row(res, &row);
		results_note(res, note);
	}
	r->received = r->next;
	run_touch(x, r);
}

static void worker_spawn(struct exec *x, struct run *r)
{
	struct keeper_msg m = {.kind = KEEPER_START,
	        .flags = KEEPER_WORKER,
	        .slot = r->slot->id,
	        .lease = r->lease,
	        .index = KEEPER_INDEX_WORKER};
	struct start_in in;
	struct err e;

	run_start_in(x, r, r->first, &in);
	if (start_build(x->builder, &in, &m.u.start, &e) < 0 || exec_send(x, &m, &e) < 0) {
		if (e.code != ERR_CLOSED)
			all_cannot_start(x, r, e.msg);
		return;
	}
	r->slot->known = true;
	r->slot->wants_worker = true;
	spec_release(&r->slot->spec);
	(void)spec_hold(x->n->specs, x->n->engine, (job_id){r->job}, &r->slot->spec, &e);
}

/* Does the worker offer the step's function? An empty list: a worker taken over from the last engine, which asked it. */
static bool offers(const struct worker *w, const char *function, char *note, size_t room)
{
	size_t at;

	if (!w->names)
		return true;
	for (uint32_t i = 0; i < w->n_names; i++)
		if (strcmp(w->names[i], function) == 0)
			return true;
	at = (size_t)snprintf(note, room, "the worker has no function '%.60s', it offers", function);
	for (uint32_t i = 0; i < w->n_names && at < room; i++)
		at += (size_t)snprintf(note + at, room - at, "%s '%.60s'", i ? "," : "", w->names[i]);
	if (w->n_names == 0 && at < room)
		(void)snprintf(note + at, room - at, " none");
	return false;
}

static void worker_go(struct exec *x, struct run *r)
{
	char note[240];

	r->moved_ns = round_now_ns(x->n);
	r->start_us = r->moved_ns > r->granted_ns ? (r->moved_ns - r->granted_ns) / 1000 : 0;
	if (!offers(&r->slot->worker, r->s->worker->function, note, sizeof(note))) {
		all_cannot_start(x, r, note);
		return;
	}
	worker_fill(x, r);
}

void worker_begin(struct exec *x, struct run *r)
{
	struct keeper_msg m = {.kind = KEEPER_ADOPT, .slot = r->slot->id, .lease = r->lease};

	r->tell = is_told(x, r);
	r->slot->adopted_from = r->slot->worker.link ? r->slot->lease : 0;
	r->slot->lease = r->lease;
	if (!r->slot->worker.link) {
		worker_spawn(x, r);
		return;
	}
	/* Nothing goes to the worker before the keeper has its ADOPT: if we died in between, the worker would run tasks of a lease
	 * that nobody finds at it, and the next engine would run them again elsewhere. */
	(void)exec_send(x, &m, NULL);
	if (!r->slot->adopting) {
		r->slot->adopting = true;
		r->slot->next_adopting = x->adopting;
		x->adopting = r->slot;
	}
	keeper_link_flush(x->keeper);
	workers_adopted(x);
}

void workers_adopted(struct exec *x)
{
	if (keeper_link_unsent(x->keeper))
		return;
	while (x->adopting) {
		struct slot *s = x->adopting;

		x->adopting = s->next_adopting;
		s->adopting = false;
		if (s->run && s->run->lease == s->lease && s->worker.link && !s->run->stopping &&
		        !s->run->stopped)
			worker_go(x, s->run);
	}
}

/* ---- batches ---- */

static size_t put_u32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
	return sizeof(v);
}

static size_t put_text(uint8_t *p, const void *text, size_t n)
{
	(void)put_u32(p, (uint32_t)n);
	if (n)
		memcpy(p + 4, text, n);
	return 4 + n;
}

static bool has_inputs(const struct run *r)
{
	return r->s->reduce || r->s->sources || sources_plain(r->s) > 0;
}

struct input_packet {
	struct worker_head head;
	size_t n;
};

static void input_flush(struct exec *x, struct run *r, struct input_packet *p, bool last)
{
	if (p->head.count || (last && p->head.flags))
		worker_link_send(r->slot->worker.link, &p->head, x->packet, p->n);
	p->head.flags = 0;
	p->head.count = 0;
	p->n = 0;
}

static int input_add(
        struct exec *x, struct run *r, struct input_packet *p, const struct start_source *src, struct err *e)
{
	char path[4096];
	const void *bytes = src->data ? (const void *)src->data : "";
	size_t n = src->bytes;
	bool file = (!src->data && src->bytes) || src->bytes > WORKER_INLINE_MAX;

	if (file) {
		uint8_t digest[32];

		/* Small enough for the journal, too large for a packet: a file all the same. */
		if (src->data && blobs_put(x->n->blobs, src->data, src->bytes, digest, e) < 0)
			return -1;
		if (!blobs_path(x->n->blobs, src->data ? digest : src->sha256, path, sizeof(path)))
			return err_set(e, ERR_INVALID, "the state folder's path is too long");
		bytes = path;
		n = strlen(path);
	}
	if (p->n + 5 + n > WORKER_PACKET_MAX - sizeof(p->head))
		input_flush(x, r, p, false);
	x->packet[p->n++] = file;
	p->n += put_text(x->packet + p->n, bytes, n);
	p->head.count++;
	return 0;
}

/* Of a lease of the hub's. */
static int add_given(struct exec *x, struct run *r, uint64_t task, struct input_packet *p, struct err *e)
{
	struct start_in in = {.spec = r->spec.spec, .step = r->step, .task = task, .pack = run_pack(r)};

	for (uint32_t i = 0; i < sources_count(r->s->sources, task); i++) {
		struct start_source src;
		char what[24];

		(void)snprintf(what, sizeof(what), "%u", i);
		if (start_given(&in, i, what, &src, e) < 0 || input_add(x, r, p, &src, e) < 0)
			return -1;
	}
	return 0;
}

/* INPUT packets of one task. */
static int send_inputs(struct exec *x, struct run *r, uint64_t task, struct err *e)
{
	struct input_packet p = {
	        .head = {.kind = WORKER_INPUT, .flags = WORKER_FRESH, .lease = r->lease, .first = task}};
	struct start_source src;
	uint32_t step;
	uint64_t of;

	worker_link_shift(r->slot->worker.link, r->lease, r->s->index_first);
	r->building = task;
	r->inline_bytes = 0;
	if (r->s->sources && add_given(x, r, task, &p, e) < 0)
		return -1;
	for (uint64_t i = 0; r->s->reduce && source_reduce(r, i, &step, &of); i++) {
		memset(&src, 0, sizeof(src));
		if (source_find(r, step, of, "stdout", &src, e) < 0 || input_add(x, r, &p, &src, e) < 0)
			return err_wrap(e, "input %llu", (unsigned long long)i);
	}
	for (size_t i = 0; i < r->s->n_inputs && !r->s->sources; i++) {
		const Wire__Input *in = r->s->inputs[i];

		if (!in->from_step[0])
			continue;
		for (step = 0; step < r->spec.spec->n_steps; step++)
			if (strcmp(r->spec.spec->steps[step]->name, in->from_step) == 0)
				break;
		if (step == r->spec.spec->n_steps)
			return err_set(e, ERR_NOTFOUND, "there is no step '%s'", in->from_step);
		of = params_input_task(r->spec.spec->steps[step], task);
		memset(&src, 0, sizeof(src));
		if (source_find(r, step, of, in->from_output[0] ? in->from_output : "stdout", &src, e) < 0 ||
		        input_add(x, r, &p, &src, e) < 0)
			return err_wrap(e, "input '%.80s'", in->path);
	}
	input_flush(x, r, &p, true);
	return 0;
}

/* Begin a BATCH body: tasks of the step, function. */
static size_t batch_begin(struct exec *x, const struct run *r)
{
	uint64_t tasks = r->s->tasks_whole ? r->s->tasks_whole : r->s->tasks;

	memcpy(x->packet, &tasks, sizeof(tasks));
	return sizeof(tasks) +
	       put_text(x->packet + sizeof(tasks), r->s->worker->function, strlen(r->s->worker->function));
}

static void batch_send(
        struct exec *x, struct run *r, uint64_t first, uint64_t count, uint32_t flags, size_t n)
{
	struct worker_head h = {
	        .kind = WORKER_BATCH, .flags = flags, .lease = r->lease, .first = first, .count = count};

	if (r->tell)
		h.flags |= WORKER_TELL;
	if (first + count == r->end)
		h.flags |= WORKER_LAST;
	worker_link_shift(r->slot->worker.link, r->lease, r->s->index_first);
	worker_link_send(r->slot->worker.link, &h, x->packet, n);
}

/* Arguments that are the same for all: the rest of the lease in one packet. */
static void fill_same(struct exec *x, struct run *r)
{
	size_t n = batch_begin(x, r), args = strlen(r->s->worker->args);

	if (args > WORKER_INLINE_MAX) {
		all_cannot_start(x, r, "the worker's arguments are longer than 32 KiB");
		return;
	}
	n += put_text(x->packet + n, r->s->worker->args, args);
	batch_send(x, r, r->sent, r->end - r->sent, 0, n);
	r->sent = r->end;
}

static void refuse_task(struct exec *x, struct run *r, const char *note)
{
	r->refused_at = r->sent++;
	run_refuse(x, r, r->refused_at, note);
}

/* As many tasks as a packet holds, each with its own arguments. Returns false when a task cannot be sent. */
static bool fill_packet(struct exec *x, struct run *r, uint64_t most)
{
	size_t n = batch_begin(x, r);
	uint64_t first = r->sent, count = 0;
	struct start_in in;
	struct err e;
	bool ok = true;

	while (first + count < r->end && count < most) {
		const char *args;
		size_t args_n;

		run_start_in(x, r, first + count, &in);
		ok = start_args(x->builder, &in, &args, &args_n, &e) == 0;
		if (ok && args_n > WORKER_INLINE_MAX) {
			ok = false;
			(void)err_set(&e, ERR_FULL, "the worker's arguments are longer than 32 KiB");
		}
		if (!ok || n + 4 + args_n > WORKER_PACKET_MAX - sizeof(struct worker_head))
			break;
		n += put_text(x->packet + n, args, args_n);
		count++;
	}
	if (count)
		batch_send(x, r, first, count, WORKER_VARIES, n);
	r->sent = first + count;
	if (!ok)
		refuse_task(x, r, e.msg);
	return ok;
}

void worker_fill(struct exec *x, struct run *r)
{
	bool inputs = has_inputs(r);
	struct err e;

	if (!r->slot || !r->slot->worker.link || !r->slot->worker.hello || r->slot->adopting || r->stopping ||
	        r->stopped || r->recovering || r->killed || r->resuming)
		return;
	if (r->refused_at != UINT64_MAX && r->refused_at >= r->next)
		return;
	r->refused_at = UINT64_MAX;
	if (r->sent == r->next && r->sent < r->end)
		r->moved_ns = round_now_ns(x->n); /* it had nothing to do until now */
	if (!inputs && !template_varies(r->s->worker->args) && r->sent < r->end)
		fill_same(x, r);
	while (r->sent < r->end && !worker_link_busy(r->slot->worker.link)) {
		if (inputs && r->sent - r->next >= INPUTS_AHEAD)
			break;
		if (inputs && send_inputs(x, r, r->sent, &e) < 0) {
			if (r->unread)
				run_fill_later(x, r);
			else
				refuse_task(x, r, e.msg);
			break;
		}
		if (!fill_packet(x, r, inputs ? 1 : UINT64_MAX))
			break;
	}
	if (r->run_timeout_ns && r->next < r->end)
		exec_timer_at(x, worker_due_ns(x, r));
}

/* ---- results ---- */

void worker_stage(struct exec *x, struct run *r, const struct worker_result *w, const uint8_t *bytes,
        size_t n, const struct gathered *file)
{
	struct result_row row = {.start_us = r->start_us, .wall_us = w->wall_us, .user_us = w->cpu_us};
	struct results *res;
	uint8_t sha[32];
	char note[300];

	if (w->status == WORKER_FAILED) {
		row.outcome = WIRE__OUTCOME__FAILED;
		row.code = w->code ? w->code : 1;
	} else if (w->status == WORKER_NO_FUNCTION) {
		row.outcome = WIRE__OUTCOME__CANNOT_START;
	} else if (file && file->failed) {
		row.outcome = WIRE__OUTCOME__OUTPUT_MISSING;
	}
	if (r->res && !results_room(r->res))
		run_tell(x, r);
	res = run_results(x, r);
	r->start_us += w->wall_us;
	r->next++;
	if (w->status == WORKER_OK && w->wall_us == 0 && w->cpu_us == 0 && n == 0 && !file) {
		results_add_plain(res, 1);
		return;
	}
	results_row(res, &row);
	if (n)
		sha256_of(bytes, n, sha);
	if (row.outcome == WIRE__OUTCOME__SUCCEEDED && file)
		results_output(res, file->bytes, false, file->sha256, file->data);
	else if (row.outcome == WIRE__OUTCOME__SUCCEEDED)
		results_output(res, n, false, sha, bytes);
	else
		results_output(res, 0, false, NULL, NULL);
	if (row.outcome != WIRE__OUTCOME__SUCCEEDED) {
		results_output(res, n, false, sha, bytes); /* why it failed, where stderr would be */
		(void)snprintf(
		        note, sizeof(note), "%.*s", n > 250 ? 250 : (int)n, n ? (const char *)bytes : "");
		results_note(res, file && file->failed ? file->why : note[0] ? note : "the function failed");
	}
	results_row_end(res);
}

static void take_plain(struct exec *x, struct run *r, uint64_t count)
{
	struct worker_result ok = {.status = WORKER_OK};

	if (run_must_park(r)) {
		for (uint64_t i = 0; i < count; i++)
			park_worker(x, r, r->received++, &ok, NULL, -1);
		return;
	}
	if (r->res && !results_room(r->res))
		run_tell(x, r);
	results_add_plain(run_results(x, r), count);
	r->next += count;
	r->received += count;
}

static int take_each(
        struct exec *x, struct run *r, const struct worker_head *h, struct worker_results *it, struct err *e)
{
	for (uint64_t i = h->first; i < h->first + h->count; i++) {
		struct worker_result w;
		const uint8_t *bytes;
		int fd, rc = worker_results_next(it, &w, &bytes, &fd, e);

		if (rc < 0)
			return -1;
		if (i < r->received) { /* said again */
			if (fd >= 0)
				(void)close(fd);
			continue;
		}
		r->received++;
		if (fd >= 0 || run_must_park(r))
			park_worker(x, r, i, &w, bytes, fd);
		else
			worker_stage(x, r, &w, bytes, w.length, NULL);
	}
	return 0;
}

/* The answer to RESUME: where the worker stands; it goes on from there. */
static int resumed(struct exec *x, struct run *r, const struct worker_head *h, struct err *e)
{
	if (!r->resuming)
		return 0;
	r->resuming = false;
	r->sent = r->received;
	if (h->flags & WORKER_CANCELLED) {
		if (h->first < r->received || h->first > r->end)
			return err_set(e, ERR_CORRUPT, "that it stands at task %llu of %llu to %llu",
			        (unsigned long long)h->first, (unsigned long long)r->received,
			        (unsigned long long)r->end);
		r->sent = h->first;
	}
	r->moved_ns = round_now_ns(x->n);
	worker_fill(x, r);
	return 0;
}

static int on_results(void *ctx, const struct worker_head *h, struct worker_results *it, struct err *e)
{
	struct slot *s = ctx;
	struct run *r = s->run;
	struct exec *x;

	if (!r || h->lease != r->lease || r->killed)
		return 0; /* of a lease that is over */
	x = r->x;
	if (h->flags & (WORKER_UNKNOWN | WORKER_CANCELLED))
		return resumed(x, r, h, e);
	/* Sent before it saw RESUME: those before, which the last engine took with it, come again, and these after them. */
	if (r->resuming && h->first > r->received)
		return 0;
	if (h->first > r->received || h->first + h->count > r->end)
		return err_set(e, ERR_CORRUPT,
		        "results of tasks %llu to %llu, expected from %llu to at most %llu",
		        (unsigned long long)h->first, (unsigned long long)(h->first + h->count) - 1,
		        (unsigned long long)r->received, (unsigned long long)r->end - 1);
	r->moved_ns = round_now_ns(x->n);
	r->begun = UINT64_MAX;
	if (h->flags & WORKER_EMPTY) {
		if (h->first + h->count > r->received)
			take_plain(x, r, h->first + h->count - r->received);
	} else if (take_each(x, r, h, it, e) < 0) {
		return -1;
	}
	if (r->sent < r->received)
		r->sent = r->received;
	run_refusals(x, r); /* touches */
	worker_fill(x, r);
	return 0;
}

static void on_progress(void *ctx, uint64_t lease, uint64_t task)
{
	struct slot *s = ctx;

	if (!s->run || s->run->lease != lease)
		return;
	s->run->begun = task;
	s->run->moved_ns = round_now_ns(s->run->x->n);
}

static void on_writable(void *ctx)
{
	struct slot *s = ctx;

	if (s->run)
		worker_fill(s->run->x, s->run);
}

static void on_hello(void *ctx, uint32_t n, const char *const *names)
{
	struct slot *s = ctx;
	struct worker *w = &s->worker;

	if (w->hello)
		return; /* taken over, and its HELLO was still unread */
	w->names = calloc(n + 1, sizeof(*w->names));
	CHECK(w->names);
	for (uint32_t i = 0; i < n; i++) {
		w->names[i] = strdup(names[i]);
		CHECK(w->names[i]);
	}
	w->n_names = n;
	w->hello = true;
	if (s->run)
		worker_go(s->run->x, s->run);
}

/* ---- ends ---- */

/* What the worker did is the reason that the rest of the lease waits again: the keeper kills it, STOPPED ends the run. */
static void worker_kill(struct exec *x, struct run *r, Wire__StopReason reason, const char *note)
{
	struct keeper_msg m = {.kind = KEEPER_STOP, .lease = r->lease, .u.stop.signal = SIGKILL};

	if (note && !r->note[0])
		(void)snprintf(r->note, sizeof(r->note), "%s", note);
	if (r->stopping)
		return;
	r->stopping = r->killed = true;
	r->reason = reason;
	(void)exec_send(x, &m, NULL);
}

static void on_lost(void *ctx, const struct err *e)
{
	struct slot *s = ctx;
	struct run *r = s->run;
	char note[240];

	if (!r)
		return;
	worker_drop(r->x, s);
	if (r->exited || r->stopped)
		return;
	if (e->code == ERR_CLOSED) {
		/* Most likely it has died, and EXITED will say of what: killed now it would have died of us. */
		r->closed_ns = round_now_ns(r->x->n);
		exec_timer_at(r->x, worker_due_ns(r->x, r));
		return;
	}
	(void)snprintf(note, sizeof(note), "the worker '%.60s' sent %.150s", r->s->worker->function, e->msg);
	worker_kill(r->x, r, WIRE__STOP_REASON__WORKER_CRASHED, note);
}

static void link_lost(void *ctx, const struct err *e)
{
	struct slot *s = ctx;

	if (s->run)
		on_lost(ctx, e);
	else
		s->worker.gone = true; /* the next who looks for a warm worker, or the timer, lets it go */
}

void worker_started(struct exec *x, struct slot *s, int fd, bool resumed)
{
	struct worker_link_callbacks cb = {.on_hello = on_hello,
	        .on_results = on_results,
	        .on_progress = on_progress,
	        .on_writable = on_writable,
	        .on_lost = link_lost,
	        .ctx = s};

	if (!s->run || s->worker.link) {
		(void)close(fd);
		return;
	}
	s->worker.generation = ++x->generations;
	s->worker.hello = resumed;
	s->worker.link = worker_link_open(&x->n->loop, fd, resumed, &cb);
}

/* "killed by signal 11 (Segmentation fault): last line of stderr" */
static void crash_note(const struct run *r, const struct keeper_exited *ex, char *out, size_t room)
{
	const char *err = ex->err.p, *sig;
	size_t n = ex->err.n, line, at;

	switch ((enum keeper_end)ex->end) {
	case KEEPER_END_EXIT:
		at = (size_t)snprintf(
		        out, room, "the worker exited with code %d before its tasks were done", ex->code);
		break;
	case KEEPER_END_SIGNAL:
		sig = sigdescr_np(ex->code);
		at = (size_t)snprintf(out, room, "the worker was killed by signal %d (%s)", ex->code,
		        sig ? sig : "unknown");
		break;
	case KEEPER_END_MEMORY:
	case KEEPER_END_DISK:
		(void)snprintf(out, room, "the worker: %.80s", ex->note.p);
		run_append_place(r, ex->end == KEEPER_END_DISK ? "disk" : "memory", out, room);
		at = strlen(out);
		break;
	case KEEPER_END_CANNOT_START:
		at = (size_t)snprintf(out, room, "%.200s", ex->note.p);
		break;
	case KEEPER_END_TIMEOUT:
	case KEEPER_END_OUTPUT_MISSING:
	case KEEPER_END_STOPPED:
		at = (size_t)snprintf(out, room, "the worker was stopped");
		break;
	default:
		at = 0;
		break;
	}
	while (n && (err[n - 1] == '\n' || err[n - 1] == ' '))
		n--;
	for (line = n; line && err[line - 1] != '\n'; line--)
		;
	if (n > line && at < room)
		(void)snprintf(
		        out + at, room - at, ": %.*s", (int)(n - line > 120 ? 120 : n - line), err + line);
}

/* The worker died of exactly this task: say so, in its place. */
static void stage_crash(struct exec *x, struct run *r, const struct keeper_exited *ex, const char *note)
{
	struct result_row row = {.outcome = ex->end == KEEPER_END_MEMORY ? WIRE__OUTCOME__OUT_OF_MEMORY
	                                                                 : WIRE__OUTCOME__CRASHED,
	        .code = ex->code,
	        .start_us = r->start_us,
	        .memory_bytes = ex->memory_bytes};
	struct results *res = run_results(x, r);

	results_row(res, &row);
	results_note(res, note);
	r->next++;
	r->received = r->next;
}

void worker_exited(struct exec *x, struct run *r, const struct keeper_msg *m)
{
	const struct keeper_exited *ex = &m->u.exited;
	struct slot *s = r->slot;
	bool ours = r->stopping && !r->killed; /* the core wanted it stopped */
	Wire__StopReason reason = WIRE__STOP_REASON__WORKER_CRASHED;
	char note[240];

	if (r->exited)
		return;
	r->exited = true;
	if (s && s->worker.link)
		worker_link_drain(s->worker.link);
	if (s)
		worker_drop(x, s);
	crash_note(r, ex, note, sizeof(note));
	if (ex->end == KEEPER_END_CANNOT_START && !run_must_park(r)) {
		all_cannot_start(x, r, note);
		return;
	}
	if (ours || r->stopped || (r->killed && r->reason == WIRE__STOP_REASON__DONE))
		return; /* STOPPED follows */
	if (!r->note[0])
		(void)snprintf(r->note, sizeof(r->note), "%s", note);
	/* Without TELL a task that began says nothing of those after it. */
	if (r->next < r->end && !run_must_park(r) && ex->end != KEEPER_END_STOPPED &&
	        (r->end - r->next == 1 || (r->tell && r->begun == r->next))) {
		stage_crash(x, r, ex, r->note);
		reason = WIRE__STOP_REASON__DONE; /* the others are not to blame */
	} else if (r->next < r->end) {
		tell_from_now_on(x, r);
	}
	if (r->killed)
		r->reason = reason; /* STOPPED follows */
	else
		run_stopped(x, r, reason, note);
	run_touch(x, r);
}

/* ---- time ---- */

uint64_t worker_due_ns(const struct exec *x, const struct run *r)
{
	(void)x;
	if (r->closed_ns && !r->exited && !r->stopping && !r->stopped)
		return r->closed_ns + CLOSED_NS;
	if (!r->s || !r->s->worker || !r->run_timeout_ns || !r->slot || !r->slot->worker.hello ||
	        r->stopping || r->stopped || r->received >= r->end || r->sent <= r->received)
		return UINT64_MAX;
	return r->moved_ns + r->run_timeout_ns;
}

static void time_out(struct exec *x, struct run *r)
{
	struct result_row row = {.outcome = WIRE__OUTCOME__TIMED_OUT,
	        .start_us = r->start_us,
	        .wall_us = r->run_timeout_ns / 1000};
	struct results *res;
	char note[200];

	if (r->closed_ns) {
		worker_kill(
		        x, r, WIRE__STOP_REASON__WORKER_CRASHED, "the worker closed its socket and went on");
		return;
	}
	/* Results wait for at most some milliseconds in the worker, so the next one that is missing is the one that runs. */
	worker_link_drain(r->slot->worker.link);
	if (worker_due_ns(x, r) > round_now_ns(x->n) || !r->slot->worker.link)
		return;
	(void)snprintf(note, sizeof(note), "ran longer than its timeout of %llu.%03llu s",
	        (unsigned long long)(r->run_timeout_ns / 1000000000),
	        (unsigned long long)(r->run_timeout_ns / 1000000 % 1000));
	if (!run_must_park(r)) {
		res = run_results(x, r);
		results_row(res, &row);
		results_note(res, note);
		r->next++;
		r->received = r->next;
		run_touch(x, r);
	}
	worker_kill(x, r, WIRE__STOP_REASON__DONE, note);
}

void worker_timeouts(struct exec *x, uint64_t now_ns)
{
	for (size_t i = 0; i < RUN_HASH; i++)
		for (struct run *r = x->hash[i]; r; r = r->hash_next)
			if (worker_due_ns(x, r) <= now_ns)
				time_out(x, r);
}

void worker_resume(struct exec *x, struct run *r)
{
	struct worker_head h = {.kind = WORKER_RESUME, .lease = r->lease, .first = r->next};

	r->sent = r->received = r->next;
	r->resuming = true;
	r->moved_ns = round_now_ns(x->n);
	worker_link_shift(r->slot->worker.link, r->lease, r->s->index_first);
	worker_link_send(r->slot->worker.link, &h, NULL, 0);
}
