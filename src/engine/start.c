/* SPDX-License-Identifier: Apache-2.0 */
/* start - see start.h. */
#include "engine/start.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/gang.h"
#include "core/sources.h"

#define TEXT_MAX         KEEPER_PACKET_MAX
#define FILES_MEM        KEEPER_PACKET_MAX
#define STDIN_MAX        (1u << 20)  /* as docs/jobs.md promises */
#define STDIN_INLINE_MAX (64u << 10) /* of it in a START; more is a blob */

struct start_builder {
	char argv[TEXT_MAX];
	char env[TEXT_MAX];
	char text[STDIN_MAX + 1]; /* one expanded template */
	char stdin_[STDIN_INLINE_MAX];
	char args[TEXT_MAX];
	uint8_t inputs[FILES_MEM];
	uint8_t outputs[FILES_MEM];
};

/* Address space; pages are touched as texts grow. */
struct start_builder *start_builder_new(void)
{
	struct start_builder *b = malloc(sizeof(*b));

	CHECK(b);
	return b;
}

void start_builder_free(struct start_builder *b)
{
	free(b);
}

void start_blob_name(const uint8_t sha256[32], char *out)
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	for (size_t i = 0; i < 32; i++) {
		*p++ = hex[sha256[i] >> 4];
		*p++ = hex[sha256[i] & 15];
		if (i == 0)
			*p++ = '/';
	}
	*p = '\0';
}

size_t start_devices_of(const struct start_in *in, size_t k, size_t *out_first)
{
	size_t at = 0;

	for (size_t i = 0; i <= k && i < in->variant->n_needs; i++) {
		const Wire__Need *need = in->variant->needs[i];
		size_t n;

		if (need->amount == 0 || !in->indexed(in->ctx, need->name))
			n = 0;
		else
			n = need->amount < 1000 ? 1 : need->amount / 1000;
		if (n > in->n_devices - at)
			n = in->n_devices - at;
		if (i == k) {
			*out_first = at;
			return n;
		}
		at += n;
	}
	*out_first = at;
	return 0;
}

/* Every device of the lease, comma-separated: the template name "devices". */
static void devices_text(const struct start_in *in, size_t first, size_t n, char *out, size_t room)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = first; i < first + n && at < room; i++)
		at += (size_t)snprintf(out + at, room - at, "%s%u", i > first ? "," : "", in->devices[i]);
}

struct building {
	struct start_builder *b;
	const struct start_in *in;
	const Wire__Step *step;
	struct params params;
	char devices[1024];
	bool spill; /* what may be a blob is one: beside the rest there is no room for its bytes */
	struct keeper_start *out;
	struct err *err;
};

static int expand(struct building *g, const char *what, const char *text, const char **out)
{
	int64_t n;

	if (!template_varies(text)) {
		*out = text;
		return 0;
	}
	n = template_expand(&g->params, text, g->b->text, sizeof(g->b->text), g->err);
	if (n < 0)
		return err_wrap(g->err, "%s", what);
	*out = g->b->text;
	return 0;
}

/* ---- argv ---- */

static int add_arg(struct building *g, const char *s)
{
	if (keeper_list_add(&g->out->argv, g->b->argv, sizeof(g->b->argv), s, g->err) < 0)
		return err_wrap(g->err, "the command line");
	return 0;
}

static int build_argv(struct building *g)
{
	const Wire__Command *c = g->in->variant->command ? g->in->variant->command : g->step->command;
	const char *s;

	if (!c || (c->n_argv == 0 && !c->shell[0]))
		return err_set(g->err, ERR_INVALID, "step '%s' has no command", g->step->name);
	if (c->shell[0])
		return expand(g, "the shell command", c->shell, &s) < 0 || add_arg(g, "/bin/sh") < 0 ||
		                       add_arg(g, "-c") < 0 || add_arg(g, s) < 0
		               ? -1
		               : 0;
	for (size_t i = 0; i < c->n_argv; i++)
		if (expand(g, "the command", c->argv[i], &s) < 0 || add_arg(g, s) < 0)
			return -1;
	return 0;
}

/* ---- environment ---- */

__attribute__((format(printf, 2, 3))) static int add_env(struct building *g, const char *fmt, ...)
{
	char small[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	CHECK(n >= 0 && (size_t)n < sizeof(small));
	if (keeper_list_add(&g->out->env, g->b->env, sizeof(g->b->env), small, g->err) < 0)
		return err_wrap(g->err, "the environment");
	return 0;
}

/* KEY=VALUE of any length. */
static int add_pair(struct building *g, const char *key, const char *value)
{
	size_t k = strlen(key), n = strlen(value);
	char *tmp = g->b->args;

	if (k + n + 2 > sizeof(g->b->args))
		return err_set(g->err, ERR_FULL, "environment variable '%.60s' is too large", key);
	memcpy(tmp, key, k);
	tmp[k] = '=';
	memcpy(tmp + k + 1, value, n + 1);
	if (keeper_list_add(&g->out->env, g->b->env, sizeof(g->b->env), tmp, g->err) < 0)
		return err_wrap(g->err, "the environment");
	return 0;
}

static bool says(const Wire__Step *s, const char *key)
{
	for (size_t i = 0; i < s->n_env; i++)
		if (strcmp(s->env[i]->key, key) == 0)
			return true;
	return false;
}

/* Of the devices given for need `k`, those of one vendor, as its tools number them. */
static size_t vendor_list(const struct start_in *in, size_t k, char vendor, char *out, size_t room, size_t at)
{
	size_t first, n = start_devices_of(in, k, &first);

	for (size_t i = first; i < first + n && at < room; i++) {
		uint32_t number;

		if (in->vendor(in->ctx, in->variant->needs[k]->name, in->devices[i], &number) == vendor)
			at += (size_t)snprintf(out + at, room - at, "%s%u", at ? "," : "", number);
	}
	return at;
}

static int env_devices(struct building *g)
{
	char cuda[512] = "", rocr[512] = "";
	size_t n_cuda = 0, n_rocr = 0;

	for (size_t k = 0; k < g->in->variant->n_needs; k++) {
		const char *r = g->in->variant->needs[k]->name;
		char name[80], list[512];
		size_t first, n = start_devices_of(g->in, k, &first), i;

		if (n == 0)
			continue;
		devices_text(g->in, first, n, list, sizeof(list));
		for (i = 0; r[i] && i < sizeof(name) - 1; i++)
			name[i] = isalnum((unsigned char)r[i]) ? (char)toupper((unsigned char)r[i]) : '_';
		name[i] = '\0';
		if (add_env(g, "OSIER_DEVICES_%s=%s", name, list) < 0)
			return -1;
		n_cuda = vendor_list(g->in, k, 'n', cuda, sizeof(cuda), n_cuda);
		n_rocr = vendor_list(g->in, k, 'r', rocr, sizeof(rocr), n_rocr);
	}
	if ((n_cuda || g->in->has_gpus) && add_env(g, "CUDA_VISIBLE_DEVICES=%s", cuda) < 0)
		return -1;
	return n_rocr || g->in->has_gpus ? add_env(g, "ROCR_VISIBLE_DEVICES=%s", rocr) : 0;
}

static int add_customary(struct building *g, const char *name, uint32_t value)
{
	return says(g->step, name) ? 0 : add_env(g, "%s=%u", name, value);
}

/* A member of a gang: who it is, and where the others are. The customary names are those of PyTorch and its like. */
static int env_gang(struct building *g)
{
	const Wire__Member *m = g->in->member;
	char hosts[GANG_MAX * (GANG_ADDRESS_MAX + 1)];
	uint32_t before = 0, here = 0;
	const char *host;
	size_t n = 0;

	if (!m)
		return 0;
	host = m->hosts[m->rank];
	for (uint32_t r = 0; r < m->n_hosts; r++) {
		n += (size_t)snprintf(hosts + n, sizeof(hosts) - n, "%s%s", r ? "," : "", m->hosts[r]);
		here += strcmp(m->hosts[r], host) == 0;
		before += r < m->rank && strcmp(m->hosts[r], host) == 0;
	}
	if (add_env(g, "OSIER_GANG_RANK=%u", m->rank) < 0 || add_env(g, "OSIER_GANG_SIZE=%u", m->size) < 0 ||
	        add_env(g,
	                strchr(m->hosts[0], ':') ? "OSIER_GANG_ADDRESS=[%s]:%u" : "OSIER_GANG_ADDRESS=%s:%u",
	                m->hosts[0], m->port) < 0 ||
	        add_pair(g, "OSIER_GANG_HOSTS", hosts) < 0 || add_pair(g, "OSIER_GANG_SECRET", m->secret) < 0)
		return -1;
	return add_customary(g, "RANK", m->rank) < 0 || add_customary(g, "WORLD_SIZE", m->size) < 0 ||
	                       add_customary(g, "LOCAL_RANK", before) < 0 ||
	                       add_customary(g, "LOCAL_WORLD_SIZE", here) < 0 ||
	                       add_customary(g, "MASTER_PORT", m->port) < 0 ||
	                       (!says(g->step, "MASTER_ADDR") && add_pair(g, "MASTER_ADDR", m->hosts[0]) < 0)
	               ? -1
	               : 0;
}

static int build_env(struct building *g)
{
	const struct start_in *in = g->in;
	const Wire__Step *s = g->step;
	const char *v;

	if (add_env(g, "OSIER_JOB=%.300s-%llu", in->spec->name, (unsigned long long)in->job) < 0 ||
	        add_env(g, "OSIER_STEP=%.300s", s->name) < 0 ||
	        add_env(g, "OSIER_TASKS=%llu",
	                (unsigned long long)(s->tasks_whole ? s->tasks_whole : s->tasks)) < 0 ||
	        add_env(g, "OSIER_ATTEMPT=%llu", (unsigned long long)in->attempt) < 0)
		return -1;
	if (!in->worker && add_env(g, "OSIER_TASK=%llu", (unsigned long long)(s->index_first + in->task)) < 0)
		return -1;
	if (env_devices(g) < 0 || env_gang(g) < 0)
		return -1;
	for (size_t i = 0; i < s->n_env; i++)
		if (expand(g, s->env[i]->key, s->env[i]->value, &v) < 0 || add_pair(g, s->env[i]->key, v) < 0)
			return -1;
	if (!says(s, "PATH") &&
	        add_env(g, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") < 0)
		return -1;
	if (!says(s, "HOME") && add_pair(g, "HOME", in->user.home[0] ? in->user.home : "/") < 0)
		return -1;
	if (!says(s, "USER") && in->user.name[0] && add_pair(g, "USER", in->user.name) < 0)
		return -1;
	return says(s, "LANG") ? 0 : add_env(g, "LANG=C.UTF-8");
}

/* ---- files ---- */

static int add_file(struct building *g, struct keeper_files *list, uint8_t *mem, const struct keeper_file *f)
{
	if (keeper_file_add(list, mem, FILES_MEM, f, g->err) < 0)
		return err_wrap(g->err, "file '%.80s'", f->path.p);
	return 0;
}

static int add_source(struct building *g, const char *path, bool executable, const struct start_source *src)
{
	char name[66];
	struct keeper_file f = {.path = {path, (uint32_t)strlen(path)}};
	uint8_t sha256[32];

	if (executable)
		f.flags |= KEEPER_FILE_EXECUTABLE;
	if (g->spill && src->data && src->bytes > sizeof(name)) {
		if (g->in->keep(g->in->ctx, src->data, src->bytes, false, sha256, g->err) < 0)
			return err_wrap(g->err, "file '%.80s'", path);
		start_blob_name(sha256, name);
		f.data = (struct keeper_text){name, (uint32_t)strlen(name)};
	} else if (src->data || src->bytes == 0) {
		f.flags |= KEEPER_FILE_INLINE;
		f.data.p = src->data ? (const char *)src->data : "";
		f.data.n = (uint32_t)src->bytes;
	} else {
		start_blob_name(src->sha256, name);
		f.data.p = name;
		f.data.n = (uint32_t)strlen(name);
	}
	return add_file(g, &g->out->inputs, g->b->inputs, &f);
}

static int step_index(struct building *g, const char *name, uint32_t *out)
{
	for (uint32_t i = 0; i < g->in->spec->n_steps; i++) {
		if (strcmp(g->in->spec->steps[i]->name, name) == 0) {
			*out = i;
			return 0;
		}
	}
	return err_set(g->err, ERR_NOTFOUND, "there is no step '%s'", name);
}

int start_given(
        const struct start_in *in, uint32_t i, const char *what, struct start_source *out, struct err *e)
{
	struct source_view v;

	sources_at(in->spec->steps[in->step]->sources, in->task, i, in->pack, &v);
	if (v.bytes == SOURCE_MISSING)
		return err_set(e, ERR_NOTFOUND,
		        "input '%.80s', of an earlier step, is not kept any more at the hub", what);
	*out = (struct start_source){.data = v.data, .bytes = v.bytes};
	memcpy(out->sha256, v.sha256, sizeof(out->sha256));
	return 0;
}

/* Where among a task's sources that of an Input is. */
static uint32_t place_of(const struct building *g, const Wire__Input *in)
{
	uint32_t n = sources_reduced(g->step, g->in->task);

	for (size_t i = 0; i < g->step->n_inputs && g->step->inputs[i] != in; i++)
		n += g->step->inputs[i]->from_step[0] != '\0';
	return n;
}

/* An Input as a source: a blob, or an output of an earlier step (of the task with the same index, or its only one). */
static int input_source(struct building *g, const Wire__Input *in, struct start_source *src)
{
	uint32_t step = 0;
	uint64_t task;

	memset(src, 0, sizeof(*src));
	if (!in->from_step[0]) {
		if (in->blob.len != 32)
			return err_set(g->err, ERR_INVALID, "input '%.80s' has no digest", in->path);
		memcpy(src->sha256, in->blob.data, 32);
		src->bytes = in->size_bytes ? in->size_bytes : 1;
		return 0;
	}
	if (g->step->sources)
		return start_given(g->in, place_of(g, in), in->path, src, g->err);
	if (step_index(g, in->from_step, &step) < 0)
		return -1;
	task = params_input_task(g->in->spec->steps[step], g->in->task);
	if (g->in->source(
	            g->in->ctx, step, task, in->from_output[0] ? in->from_output : "stdout", src, g->err) < 0)
		return err_wrap(g->err, "input '%.80s'", in->path);
	return 0;
}

/* Input i of a reduce. 1: there is none further. */
static int reduce_source(struct building *g, uint32_t i, const char *path, struct start_source *src)
{
	const struct start_in *in = g->in;
	uint32_t step;
	uint64_t task;

	memset(src, 0, sizeof(*src));
	if (g->step->sources)
		return i < sources_reduced(g->step, in->task) ? start_given(in, i, path, src, g->err) : 1;
	if (!in->reduce(in->ctx, i, &step, &task))
		return 1;
	if (in->source(in->ctx, step, task, "stdout", src, g->err) < 0)
		return err_wrap(g->err, "input %u", i);
	return 0;
}

/* A reduce gets inputs/000000, inputs/000001 ... in order, and their list. */
static int reduce_files(struct building *g)
{
	struct start_source src;
	char *list = g->b->text;
	size_t at = 0;

	list[0] = '\0';
	for (uint32_t i = 0;; i++) {
		char path[40];
		int rc;

		(void)snprintf(path, sizeof(path), "inputs/%06u", i);
		rc = reduce_source(g, i, path, &src);
		if (rc < 0)
			return -1;
		if (rc > 0)
			break;
		if (add_source(g, path, false, &src) < 0)
			return err_hint(g->err,
			        "a reduce takes at most %u inputs at once: say 'associative: true', or a "
			        "smaller fan_in",
			        KEEPER_FILES_MAX);
		at += (size_t)snprintf(list + at, TEXT_MAX - at, "%s%s", i ? " " : "", path);
		CHECK(at < TEXT_MAX);
	}
	return add_pair(g, "OSIER_INPUTS", list);
}

static int build_files(struct building *g)
{
	const Wire__Step *s = g->step;
	struct start_source src;
	const char *path;

	for (size_t i = 0; i < s->n_inputs; i++) {
		if (g->in->worker && s->inputs[i]->from_step[0])
			continue; /* goes to the worker with the task */
		if (input_source(g, s->inputs[i], &src) < 0 ||
		        expand(g, "an input", s->inputs[i]->path, &path) < 0 ||
		        add_source(g, path, s->inputs[i]->executable, &src) < 0)
			return -1;
	}
	for (size_t i = 0; i < s->n_outputs && !g->in->worker; i++) {
		struct keeper_file f = {.flags = s->outputs[i]->optional ? KEEPER_FILE_OPTIONAL : 0};

		if (expand(g, "an output", s->outputs[i]->path, &f.path.p) < 0)
			return -1;
		f.path.n = (uint32_t)strlen(f.path.p);
		f.data.p = "";
		if (add_file(g, &g->out->outputs, g->b->outputs, &f) < 0)
			return -1;
	}
	return (s->reduce || (s->sources && s->sources->reduce)) && !g->in->worker ? reduce_files(g) : 0;
}

static void stdin_blob(struct building *g, const uint8_t sha256[32])
{
	start_blob_name(sha256, g->b->stdin_);
	g->out->stdin_kind = KEEPER_STDIN_BLOB;
	g->out->stdin_ = (struct keeper_text){g->b->stdin_, (uint32_t)strlen(g->b->stdin_)};
}

static int stdin_bytes(struct building *g, const void *p, size_t n, bool same)
{
	uint8_t sha256[32];

	if (n > sizeof(g->b->stdin_) || (g->spill && n > sizeof(g->b->stdin_) / 64)) {
		if (g->in->keep(g->in->ctx, p, n, same, sha256, g->err) < 0)
			return err_wrap(g->err, "stdin");
		stdin_blob(g, sha256);
		return 0;
	}
	if (n)
		memcpy(g->b->stdin_, p, n);
	g->out->stdin_kind = KEEPER_STDIN_TEXT;
	g->out->stdin_ = (struct keeper_text){g->b->stdin_, (uint32_t)n};
	return 0;
}

static int build_stdin(struct building *g)
{
	struct start_source src;
	const char *text;

	g->out->stdin_kind = KEEPER_STDIN_NULL;
	g->out->stdin_ = (struct keeper_text){"", 0};
	if (g->in->worker)
		return 0;
	if (g->step->stdin_file) {
		if (input_source(g, g->step->stdin_file, &src) < 0)
			return -1;
		if (src.data || !src.bytes)
			return stdin_bytes(g, src.data, src.bytes, false);
		stdin_blob(g, src.sha256);
		return 0;
	}
	if (!g->step->stdin_text[0])
		return 0;
	if (expand(g, "stdin", g->step->stdin_text, &text) < 0)
		return -1;
	return stdin_bytes(g, text, strlen(text), text == g->step->stdin_text);
}

/* ---- limits ---- */

static void build_limits(struct building *g)
{
	const Wire__Variant *v = g->in->variant;
	const Wire__Step *s = g->step;
	struct keeper_start *o = g->out;

	o->uid = g->in->user.uid;
	o->gid = g->in->user.gid;
	for (size_t i = 0; i < v->n_needs; i++) {
		uint64_t amount = v->needs[i]->amount;

		if (strcmp(v->needs[i]->name, "cpu") == 0)
			o->cpu_milli = o->cpu_max_milli = amount > UINT32_MAX ? UINT32_MAX : (uint32_t)amount;
		else if (strcmp(v->needs[i]->name, "memory") == 0)
			o->memory_bytes = amount;
		else if (strcmp(v->needs[i]->name, "disk") == 0)
			o->file_bytes_max = amount;
	}
	o->timeout_ns = g->in->worker ? 0 : g->in->run_timeout_ns;
	o->grace_ns = s->grace_ns;
	o->output_bytes_max = s->output_bytes_max;
	o->pids_max = s->pids_max;
	o->umask = 022;
}

static int prepare(struct building *g, struct start_builder *b, const struct start_in *in, struct err *e)
{
	CHECK(in->step < in->spec->n_steps);
	g->b = b;
	g->in = in;
	g->step = in->spec->steps[in->step];
	g->err = e;
	devices_text(in, 0, in->n_devices, g->devices, sizeof(g->devices));
	g->params = (struct params){.spec = in->spec,
	        .step = in->step,
	        .task = in->task,
	        .job = in->job,
	        .attempt = in->attempt,
	        .node = in->node,
	        .devices = g->devices,
	        .line = in->line,
	        .line_ctx = in->ctx};
	return 0;
}

static int build(struct building *g)
{
	memset(g->out, 0, sizeof(*g->out));
	build_limits(g);
	g->out->workdir = (struct keeper_text){g->step->workdir, (uint32_t)strlen(g->step->workdir)};
	if (build_argv(g) < 0 || build_env(g) < 0 || build_files(g) < 0 || build_stdin(g) < 0)
		return -1;
	return keeper_start_fits(g->out, g->err);
}

int start_build(struct start_builder *b, const struct start_in *in, struct keeper_start *out, struct err *e)
{
	struct building g = {.out = out};

	(void)prepare(&g, b, in, e);
	if (build(&g) == 0)
		return 0;
	if (e->code != ERR_FULL)
		return -1;
	g.spill = true;
	return build(&g);
}

int start_args(
        struct start_builder *b, const struct start_in *in, const char **out, size_t *out_n, struct err *e)
{
	struct building g = {0};
	int64_t n;

	(void)prepare(&g, b, in, e);
	if (!template_varies(g.step->worker->args)) {
		*out = g.step->worker->args;
		*out_n = strlen(*out);
		return 0;
	}
	n = template_expand(&g.params, g.step->worker->args, b->args, sizeof(b->args), e);
	if (n < 0)
		return err_wrap(e, "the arguments");
	*out = b->args;
	*out_n = (size_t)n;
	return 0;
}
