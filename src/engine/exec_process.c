/* SPDX-License-Identifier: Apache-2.0 */
/* exec_process - process tasks: STARTs a few ahead, EXITEDs into rows; see exec_int.h. */
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "core/gang.h"
#include "engine/exec_int.h"
#include "engine/gather.h"
#include "io/sha256.h"

static int send_start(struct exec *x, struct run *r, uint64_t task, struct err *e)
{
	struct keeper_msg m = {.kind = KEEPER_START, .slot = r->slot->id, .lease = r->lease, .index = task};
	struct start_in in;

	run_start_in(x, r, task, &in);
	if (r->s->gang || r->s->member) {
		struct lease_view v;

		growing_clear(&x->member);
		if (engine_lease(x->n->engine, (lease_id){r->lease}, &v))
			in.member = gang_member(x->n->engine, &v, r->s, &x->member.arena);
		if (!in.member)
			return err_set(e, ERR_FULL, "the gang has ended");
	}
	if (start_build(x->builder, &in, &m.u.start, e) < 0)
		return -1;
	r->slot->known = true;
	r->start_bytes =
	        m.u.start.argv.bytes + m.u.start.env.bytes + m.u.start.inputs.bytes + m.u.start.stdin_.n;
	return exec_send(x, &m, e);
}

static uint64_t ahead(const struct run *r)
{
	uint64_t n = RUN_AHEAD_BYTES / (r->start_bytes + 256);

	return n < 4 ? 4 : n < RUN_AHEAD ? n : RUN_AHEAD;
}

void process_fill(struct exec *x, struct run *r)
{
	struct err e;

	if (!r->slot || r->stopping || r->stopped || r->recovering)
		return;
	if (r->sent - r->next > ahead(r) / 2)
		return;
	while (r->sent < r->end && r->sent - r->next < ahead(r)) {
		uint64_t task = r->sent++;

		if (send_start(x, r, task, &e) == 0) {
			if (r->sent == r->next + 1) /* it can begin while we build the others */
				keeper_link_flush(x->keeper);
			continue;
		}
		if (r->unread) {
			r->sent = task;
			run_fill_later(x, r);
			return;
		}
		if (e.code == ERR_CLOSED)
			return;
		if (e.code == ERR_FULL && !e.hint[0])
			(void)err_hint(&e, "put large texts into a file: inputs or stdin");
		run_refuse(x, r, task, e.msg);
	}
}

void process_exited(struct exec *x, struct run *r, const struct keeper_msg *m)
{
	struct keeper_msg ack = {.kind = KEEPER_ACK, .lease = m->lease, .index = m->index};

	if (r->recovering && m->index >= r->sent && m->index < r->end)
		r->sent = m->index + 1; /* the last engine sent it */
	run_refusals(x, r);
	if (m->index < r->next || m->index >= r->end) {
		/* Again: the last engine had it durable, but its ACK was lost. Otherwise our own ACK is on its way. */
		if (m->index < r->durable)
			(void)exec_send(x, &ack, NULL);
		return;
	}
	if (run_must_park(r) || exited_has_files(m)) {
		park_exited(x, r, m);
		return;
	}
	process_stage(x, r, m, NULL, 0);
	process_fill(x, r);
}

Wire__Outcome process_outcome(const struct keeper_exited *ex)
{
	switch ((enum keeper_end)ex->end) {
	case KEEPER_END_EXIT:
		return ex->code == 0 ? WIRE__OUTCOME__SUCCEEDED : WIRE__OUTCOME__FAILED;
	case KEEPER_END_SIGNAL:
	case KEEPER_END_DISK:
		return WIRE__OUTCOME__SIGNALED;
	case KEEPER_END_TIMEOUT:
		return WIRE__OUTCOME__TIMED_OUT;
	case KEEPER_END_MEMORY:
		return WIRE__OUTCOME__OUT_OF_MEMORY;
	case KEEPER_END_CANNOT_START:
		return WIRE__OUTCOME__CANNOT_START;
	case KEEPER_END_OUTPUT_MISSING:
		return WIRE__OUTCOME__OUTPUT_MISSING;
	case KEEPER_END_STOPPED:
		return WIRE__OUTCOME__STOPPED;
	}
	return WIRE__OUTCOME__LOST;
}

/* Amounts as people read them: "512 MiB". */
static void bytes_text(uint64_t bytes, char *out, size_t room)
{
	if (bytes >= 1ull << 30 && bytes % (1ull << 30) == 0)
		(void)snprintf(out, room, "%llu GiB", (unsigned long long)(bytes >> 30));
	else if (bytes >= 1u << 20)
		(void)snprintf(out, room, "%llu MiB", (unsigned long long)(bytes >> 20));
	else
		(void)snprintf(out, room, "%llu KiB", (unsigned long long)(bytes >> 10));
}

static const Wire__Need *need_of(const struct run *r, const char *name)
{
	for (size_t i = 0; i < r->v->n_needs; i++)
		if (strcmp(r->v->needs[i]->name, name) == 0)
			return r->v->needs[i];
	return NULL;
}

void run_append_place(const struct run *r, const char *name, char *out, size_t room)
{
	const Wire__Need *need = need_of(r, name);
	size_t n = strlen(out);

	if (need && need->line && r->spec.spec->source[0])
		(void)snprintf(out + n, room - n, ", limit in %.100s:%u", r->spec.spec->source, need->line);
}

static void note_memory(const struct run *r, const struct keeper_exited *ex, char *out, size_t room)
{
	char limit[32], peak[32];

	bytes_text(ex->memory_limit_bytes, limit, sizeof(limit));
	bytes_text(ex->memory_bytes, peak, sizeof(peak));
	(void)snprintf(out, room, "killed at %s, peak %s", limit, peak);
	run_append_place(r, "memory", out, room);
}

/* One file that reached the limit of them all: the kernel said so to the process. */
static void append_file_limit(const struct run *r, char *out, size_t room)
{
	const Wire__Need *disk = need_of(r, "disk");
	size_t n = strlen(out);
	char limit[32];

	if (!disk || !disk->amount)
		return;
	bytes_text(disk->amount, limit, sizeof(limit));
	(void)snprintf(out + n, room - n, ": a file reached disk: %s", limit);
	run_append_place(r, "disk", out, room);
}

static void note_of(const struct run *r, const struct keeper_exited *ex, char *out, size_t room)
{
	const char *sig;

	out[0] = '\0';
	switch ((enum keeper_end)ex->end) {
	case KEEPER_END_EXIT:
		if (ex->code != 0)
			(void)snprintf(out, room, "exit code %d", ex->code);
		if (ex->code == 128 + SIGXFSZ) /* what a shell makes of it */
			append_file_limit(r, out, room);
		break;
	case KEEPER_END_SIGNAL:
		sig = sigdescr_np(ex->code);
		(void)snprintf(out, room, "killed by signal %d (%s)", ex->code, sig ? sig : "unknown");
		if (ex->code == SIGXFSZ)
			append_file_limit(r, out, room);
		break;
	case KEEPER_END_TIMEOUT:
		(void)snprintf(out, room, "ran longer than its timeout of %llu.%03llu s",
		        (unsigned long long)(r->run_timeout_ns / 1000000000),
		        (unsigned long long)(r->run_timeout_ns / 1000000 % 1000));
		break;
	case KEEPER_END_MEMORY:
		note_memory(r, ex, out, room);
		break;
	case KEEPER_END_STOPPED:
		(void)snprintf(out, room, "stopped");
		break;
	case KEEPER_END_DISK:
		(void)snprintf(out, room, "%s", ex->note.p);
		run_append_place(r, "disk", out, room);
		break;
	case KEEPER_END_CANNOT_START:
	case KEEPER_END_OUTPUT_MISSING:
		(void)snprintf(out, room, "%s", ex->note.p);
		break;
	}
}

static void stage_text(struct results *res, const struct keeper_text *t, bool truncated)
{
	uint8_t sha[32];

	if (t->n)
		sha256_of(t->p, t->n, sha);
	results_output(res, t->n, truncated, sha, (const uint8_t *)t->p);
}

static void stage_file(struct results *res, const struct gathered *g, bool truncated)
{
	results_output(res, g->bytes, truncated, g->sha256, g->data);
}

static void stage_outputs(
        struct results *res, const struct keeper_msg *m, const struct gathered *files, size_t n_files)
{
	const struct keeper_exited *ex = &m->u.exited;
	size_t at = 0;

	if (m->flags & KEEPER_OUT_SPOOLED && at < n_files)
		stage_file(res, &files[at++], ex->out_dropped > 0);
	else
		stage_text(res, &ex->out, ex->out_dropped > 0);
	if (m->flags & KEEPER_ERR_SPOOLED && at < n_files)
		stage_file(res, &files[at++], ex->err_dropped > 0);
	else
		stage_text(res, &ex->err, ex->err_dropped > 0);
	for (uint32_t i = 0; i < ex->n_outputs; i++) {
		if (at < n_files && files[at].which == (int)i)
			stage_file(res, &files[at++], false);
		else
			results_output(res, 0, false, NULL, NULL);
	}
}

void process_stage(struct exec *x, struct run *r, const struct keeper_msg *m, const struct gathered *files,
        size_t n_files)
{
	const struct keeper_exited *ex = &m->u.exited;
	struct results *res;
	struct result_row row = {.outcome = process_outcome(ex),
	        .code = ex->code,
	        .start_us = ex->started_ns > r->granted_ns ? (ex->started_ns - r->granted_ns) / 1000 : 0,
	        .wall_us = ex->wall_us,
	        .user_us = ex->user_us,
	        .system_us = ex->system_us,
	        .memory_bytes = ex->memory_bytes,
	        .read_bytes = ex->read_bytes,
	        .write_bytes = ex->write_bytes};
	char note[300];
	bool lost_file = false;

	/* The last engine could not start what lies between, and was killed before it said so. */
	while (r->next < m->index)
		run_refuse(x, r, r->next, "could not be started");
	CHECK(r->next == m->index);
	for (size_t i = 0; i < n_files; i++)
		lost_file = lost_file || files[i].failed;
	if (r->res && !results_room(r->res))
		run_tell(x, r);
	res = run_results(x, r);
	if (lost_file && row.outcome == WIRE__OUTCOME__SUCCEEDED)
		row.outcome = WIRE__OUTCOME__OUTPUT_MISSING;
	results_row(res, &row);
	stage_outputs(res, m, files, n_files);
	results_row_end(res);
	if (row.outcome != WIRE__OUTCOME__SUCCEEDED) {
		note_of(r, ex, note, sizeof(note));
		for (size_t i = 0; i < n_files && lost_file; i++)
			if (files[i].failed)
				(void)snprintf(note, sizeof(note), "%s", files[i].why);
		results_note(res, note);
	}
	r->next++;
	run_refusals(x, r); /* touches */
}
