/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_compare - a step's comparator is run on the outputs of two replicas; its exit code is its word.
 *
 * A comparator is a process like a task, with a lease number of its own (from COMPARE_LEASE on) that no entry knows: after
 * a restart it is simply run again. It gets the two outputs as the files a and b of its scratch folder, named as its last two
 * arguments: the step's first declared output, or stdout when it declares none. Exit code 0: equal. Anything else, a comparator that
 * cannot run included, is "not equal": what was not shown to agree must not be committed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/exec_int.h"
#include "wire/entry.h"

#define COMPARE_TIMEOUT_NS (600ull * 1000000000ull)
#define COMPARE_INLINE_MAX (2u << 10) /* of each output in the START; more is a blob */

struct compare {
	struct compare *next;
	uint64_t lease;
	struct effect what;
	struct slot *slot; /* NULL: waits for one */
};

static void unlink_compare(struct exec *x, struct compare *c)
{
	struct compare **p = &x->compares;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
}

static void answer(struct exec *x, struct compare *c, bool equal)
{
	Wire__Compared m = WIRE__COMPARED__INIT;
	struct command cmd = {.kind = CMD_COMPARED, .u.compared = &m};
	struct slot *s = c->slot;

	m.job = c->what.job.v;
	m.step = c->what.step;
	m.task = c->what.task;
	m.a = c->what.a;
	m.b = c->what.b;
	m.equal = equal;
	round_command(x->n, &cmd, NULL, 0, NULL);
	unlink_compare(x, c);
	free(c);
	if (s) {
		s->comparing = false;
		slot_give(x, s);
	}
}

static int add_output(struct exec *x, const struct compare *c, const Wire__Step *s, uint32_t replica,
        const char *name, struct keeper_files *files, uint8_t *mem, size_t max, struct err *e)
{
	struct keeper_file f = {.path = {name, 1}};
	struct vote_view v[64];
	struct start_source src;
	uint8_t sha256[32];
	char blob[66];

	if (replica >= 64 ||
	        engine_votes(x->n->engine, c->what.job, c->what.step, c->what.task, v, 64) <= replica)
		return err_set(e, ERR_NOTFOUND, "there is no replica %u", replica);
	if (source_of_attempt(x, s, c->what.job.v, c->what.step, c->what.task, v[replica].lease.v,
	            s->n_outputs ? s->outputs[0]->path : "stdout", &src, e) < 0)
		return -1;
	/* Two of the largest small ones leave the comparator no room. */
	if (src.data && src.bytes > COMPARE_INLINE_MAX) {
		if (blobs_put(x->n->blobs, src.data, src.bytes, sha256, e) < 0)
			return -1;
		start_blob_name(sha256, blob);
		f.data = (struct keeper_text){blob, (uint32_t)strlen(blob)};
	} else if (src.data || src.bytes == 0) {
		f.flags = KEEPER_FILE_INLINE;
		f.data = (struct keeper_text){src.data ? (const char *)src.data : "", (uint32_t)src.bytes};
	} else {
		start_blob_name(src.sha256, blob);
		f.data = (struct keeper_text){blob, (uint32_t)strlen(blob)};
	}
	return keeper_file_add(files, mem, max, &f, e);
}

static int add_command(
        const Wire__Command *cmd, struct keeper_list *argv, char *mem, size_t max, struct err *e)
{
	if (cmd->shell[0]) {
		if (keeper_list_add(argv, mem, max, "/bin/sh", e) < 0 ||
		        keeper_list_add(argv, mem, max, "-c", e) < 0 ||
		        keeper_list_add(argv, mem, max, cmd->shell, e) < 0 ||
		        keeper_list_add(argv, mem, max, "sh", e) < 0)
			return -1;
	}
	for (size_t i = 0; i < cmd->n_argv && !cmd->shell[0]; i++)
		if (keeper_list_add(argv, mem, max, cmd->argv[i], e) < 0)
			return -1;
	return keeper_list_add(argv, mem, max, "a", e) < 0 || keeper_list_add(argv, mem, max, "b", e) < 0 ? -1
	                                                                                                  : 0;
}

static int send_start(struct exec *x, struct compare *c, const Wire__JobSpec *spec, struct err *e)
{
	struct keeper_msg m = {.kind = KEEPER_START, .slot = c->slot->id, .lease = c->lease};
	const Wire__Step *s = c->what.step < spec->n_steps ? spec->steps[c->what.step] : NULL;
	struct job_view job;
	char *argv, *env;
	uint8_t *files;
	int rc = -1;

	if (!s || !s->verify || !s->verify->comparator || !engine_job(x->n->engine, c->what.job, &job))
		return err_set(e, ERR_NOTFOUND, "there is no comparator");
	argv = malloc(KEEPER_PACKET_MAX);
	env = malloc(4096);
	files = malloc(KEEPER_PACKET_MAX);
	CHECK(argv && env && files);
	m.u.start = (struct keeper_start){.uid = job.uid,
	        .gid = job.gid,
	        .cpu_milli = 1000,
	        .timeout_ns = COMPARE_TIMEOUT_NS,
	        .grace_ns = 1000000000u,
	        .output_bytes_max = 4096,
	        .pids_max = 256,
	        .umask = 022};
	m.u.start.workdir = m.u.start.stdin_ = (struct keeper_text){"", 0};
	if (add_command(s->verify->comparator, &m.u.start.argv, argv, KEEPER_PACKET_MAX, e) == 0 &&
	        keeper_list_add(&m.u.start.env, env, 4096,
	                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", e) == 0 &&
	        keeper_list_add(&m.u.start.env, env, 4096, "LANG=C.UTF-8", e) == 0 &&
	        add_output(x, c, s, c->what.a, "a", &m.u.start.inputs, files, KEEPER_PACKET_MAX, e) == 0 &&
	        add_output(x, c, s, c->what.b, "b", &m.u.start.inputs, files, KEEPER_PACKET_MAX, e) == 0)
		rc = exec_send(x, &m, e);
	free(argv);
	free(env);
	free(files);
	return rc;
}

static void begin(struct exec *x, struct compare *c)
{
	struct spec_ref spec = {0};
	struct err e;
	int rc;

	c->slot = slot_take_cold(x);
	if (!c->slot)
		return;
	c->slot->comparing = true;
	rc = spec_hold(x->n->specs, x->n->engine, c->what.job, &spec, &e);
	if (rc == 0)
		rc = send_start(x, c, spec.spec, &e);
	spec_release(&spec);
	if (rc == 0) {
		c->slot->known = true;
		return;
	}
	(void)fprintf(stderr, "osier: the comparator of job %llu could not be run: %s\n",
	        (unsigned long long)c->what.job.v, e.msg);
	answer(x, c, false);
}

void exec_compare(struct exec *x, const struct effect *ef)
{
	struct compare *c = calloc(1, sizeof(*c));

	CHECK(c);
	c->lease = COMPARE_LEASE | ++x->compare_last;
	c->what = *ef;
	c->next = x->compares;
	x->compares = c;
	begin(x, c);
}

void compare_resume(struct exec *x)
{
	struct effect at, next;
	bool more = engine_compare_next(x->n->engine, NULL, &at);

	/* Numbers begin anew with each engine: what the last one's comparators still say must not be taken for ours. */
	x->compare_last = engine_epoch(x->n->engine) << 32;
	while (more) {
		exec_compare(x, &at);
		more = engine_compare_next(x->n->engine, &at, &next);
		at = next;
	}
}

bool compare_message(struct exec *x, const struct keeper_msg *m)
{
	struct keeper_msg ack = {.kind = KEEPER_ACK, .lease = m->lease, .index = m->index};
	struct compare *c = x->compares, *next;
	const struct keeper_exited *ex = &m->u.exited;

	if (m->kind == KEEPER_SLOT)
		return false; /* of the last engine: released with the others */
	while (c && c->lease != m->lease)
		c = c->next;
	if (m->kind == KEEPER_EXITED)
		(void)exec_send(x, &ack, NULL);
	if (c && (m->kind == KEEPER_EXITED || m->kind == KEEPER_REFUSED))
		answer(x, c, m->kind == KEEPER_EXITED && ex->end == KEEPER_END_EXIT && ex->code == 0);
	for (c = x->compares; c; c = next) {
		next = c->next;
		if (!c->slot)
			begin(x, c);
	}
	return true;
}

void compares_free(struct exec *x)
{
	while (x->compares) {
		struct compare *c = x->compares;

		x->compares = c->next;
		free(c);
	}
}
