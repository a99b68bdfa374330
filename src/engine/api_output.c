/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_output - the bytes of an output: from the journal's store, from a blob (a hub asks its other machines for one that it lacks), or
 * from the spool of a running task.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "core/gang.h"
#include "engine/api_int.h"
#include "engine/api_result.h"
#include "engine/hub_copies.h"
#include "io/blobs.h"
#include "io/growing.h"
#include "io/sha256.h"
#include "wire/entry.h"

static void headers(struct MHD_Response *r, const uint8_t *digest)
{
	char tag[68];

	MHD_add_response_header(r, "Content-Type", "application/octet-stream");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (!digest)
		return;
	tag[0] = '"';
	for (int i = 0; i < 32; i++)
		snprintf(tag + 1 + 2 * i, 3, "%02x", digest[i]);
	memcpy(tag + 65, "\"", 2);
	MHD_add_response_header(r, "ETag", tag);
}

void answer_file(struct request *q, int fd, uint64_t bytes, const uint8_t *digest)
{
	struct MHD_Response *r = MHD_create_response_from_fd64(bytes, fd);

	CHECK(r);
	headers(r, digest);
	answer_response(q, 200, r);
}

static void answer_bytes(struct request *q, const uint8_t *p, size_t n, const struct result_output *out)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(
	        n, (void *)(uintptr_t)(n ? p : (const uint8_t *)""), MHD_RESPMEM_MUST_COPY);

	CHECK(r);
	headers(r, out->sha256);
	if (out->truncated)
		MHD_add_response_header(r, "Osier-Truncated", "1");
	answer_response(q, 200, r);
}

bool output_sound(const struct result_output *o, const uint8_t *bytes)
{
	uint8_t digest[SHA256_BYTES];

	if (!o->sha256)
		return o->bytes == 0;
	sha256_of(bytes, (size_t)o->bytes, digest);
	return memcmp(digest, o->sha256, sizeof(digest)) == 0;
}

/* Which output is meant: 0 stdout, 1 stderr, then the declared ones; < 0: answered. */
static int which(struct request *q, const Wire__Step *s, const char *name, uint32_t *out)
{
	char known[80] = "stdout, stderr", hint[120];
	size_t n = strlen(known);

	*out = 0;
	if (!strcmp(name, "stdout"))
		return 0;
	*out = 1;
	if (!strcmp(name, "stderr"))
		return 0;
	for (uint32_t i = 0; i < s->n_outputs; i++) {
		*out = 2 + i;
		if (!strcmp(s->outputs[i]->path, name))
			return 0;
		if (n < sizeof(known))
			n += (size_t)snprintf(known + n, sizeof(known) - n, ", %s", s->outputs[i]->path);
	}
	snprintf(hint, sizeof(hint), "it has %s%s", known, n >= sizeof(known) ? "..." : "");
	answer_errf(q, 404, "not_found", hint, "step '%.60s' has no output '%.100s'", s->name, name);
	return -1;
}

/* What a running task wrote until now; false: it does not run any more, or writes nothing. */
static bool answer_live(struct request *q, job_id job, uint32_t step, uint64_t index, uint32_t k)
{
	char path[4096];
	struct stat st;
	struct err e;
	struct MHD_Response *r;
	int fd;

	if (k > 1 || node_follow(q->api->node, job, step, index, (int)k, path, sizeof(path), &e) < 0)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno != ENOENT)
		return false;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) { /* nothing was written yet */
		if (fd >= 0)
			close(fd);
		r = MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
	} else {
		r = MHD_create_response_from_fd64((uint64_t)st.st_size, fd);
	}
	CHECK(r);
	headers(r, NULL);
	MHD_add_response_header(r, "Osier-Live", "1");
	answer_response(q, 200, r);
	return true;
}

/* An output that a hub has not, and one of its other machines may have. */
struct fetching {
	struct request *q; /* NULL: gone */
	uint8_t sha256[SHA256_BYTES];
	bool truncated;
};

static void fetching_gone(void *own)
{
	((struct fetching *)own)->q = NULL;
}

/* False: it is not here. */
static bool answer_blob(struct request *q, const uint8_t *sha256, bool truncated, struct err *e)
{
	uint64_t bytes;
	int fd;

	if (blobs_open_read(node_blobs(q->api->node), sha256, &fd, &bytes, e) < 0)
		return false;
	answer_file(q, fd, bytes, sha256);
	if (truncated && q->response)
		MHD_add_response_header(q->response, "Osier-Truncated", "1");
	return true;
}

static void no_blob(struct request *q, const struct err *why)
{
	if (why->code == ERR_NOTFOUND)
		answer_error(q, 404, "not_found", "the output is not kept any more",
		        "files are kept by policy: 'blobs' in config.yaml");
	else
		answer_err(q, why);
}

static void fetched(void *ctx, const struct err *why)
{
	struct fetching *f = ctx;
	struct request *q = f->q;
	struct err e;

	if (q) {
		q->own = NULL;
		q->own_free = NULL;
		if (!answer_blob(q, f->sha256, f->truncated, &e))
			no_blob(q, why ? why : &e);
	}
	free(f);
}

static void answer_large(struct request *q, const struct result_output *out)
{
	struct fetching *f;
	struct err e;

	if (answer_blob(q, out->sha256, out->truncated, &e))
		return;
	f = malloc(sizeof(*f));
	CHECK(f);
	*f = (struct fetching){.q = q, .truncated = out->truncated};
	memcpy(f->sha256, out->sha256, sizeof(f->sha256));
	if (e.code == ERR_NOTFOUND && hub_file_read(q->api->node, f->sha256, out->bytes, fetched, f)) {
		if (q->own_free) /* of request_settle() */
			q->own_free(q->own);
		q->own = f;
		q->own_free = fetching_gone;
		request_sleep(q);
		return;
	}
	free(f);
	if (e.code == ERR_NOTFOUND && hub_has_others(q->api->node))
		(void)err_set(
		        &e, ERR_CLOSED, "the output is not here, and the hub's other machines do not answer");
	no_blob(q, &e);
}

/* lease 0: of the newest attempt, or of that which counts. */
static void answer_stored(
        struct request *q, job_id job, uint32_t step, uint64_t index, uint32_t k, uint64_t lease)
{
	const uint8_t *bytes, *outputs;
	size_t n, n_outputs;
	uint64_t seq;
	const Wire__Entry *en;
	struct result_output out;
	struct growing g;
	struct err e;

	growing_init(&g, 64u << 10, 4 * ENTRY_BYTES_MAX);
	if (journal_read_result_of(node_reader(q->api->node), job.v, step, index,
	            lease ? lease : engine_gang_result(node_engine(q->api->node), job, step, index).v, &seq,
	            &bytes, &n, &outputs, &n_outputs, &e) < 0) {
		if (e.code == ERR_NOTFOUND)
			err_hint(&e, "no attempt of the task has ended yet");
		answer_err(q, &e);
	} else if (entry_decode(&g.arena, bytes, n, &en, &e) < 0) {
		answer_err(q, &e);
	} else if (!en->results || index - en->results->first >= en->results->count) {
		answer_error(q, 500, "corrupt", "the journal's index does not fit its entries",
		        "run osier doctor");
	} else {
		result_output_at(en->results, index - en->results->first, k, &out);
		if (!out.small && out.sha256)
			answer_large(q, &out);
		else if (out.at > n_outputs || out.bytes > n_outputs - out.at)
			answer_error(q, 404, "not_found", "the output is not kept any more",
			        "history is kept by policy");
		else if (!output_sound(&out, outputs + out.at))
			answer_error(q, 500, "corrupt",
			        "the stored output is not what the task wrote: journal.db is damaged",
			        "restore the state folder from a backup; 'osier retry' runs the task again");
		else
			answer_bytes(q, outputs + out.at, (size_t)out.bytes, &out);
	}
	growing_release(&g);
}

void h_output(struct request *q)
{
	struct job_view v;
	struct spec_ref ref;
	struct task_view t;
	uint32_t step, k;
	uint64_t index, lease = 0;

	if (request_task(q, &v, &step, &index, &ref) < 0)
		return;
	if (query_u64(q, "attempt", 1, UINT64_MAX, &lease) < 0) {
		spec_release(&ref);
		return;
	}
	if (!may_change(q, &v)) {
		answer_errf(q, 403, "denied", "ask as its owner, as root or as the user whose node it is",
		        "the outputs of job %llu belong to uid %u, and you are %s",
		        (unsigned long long)v.id.v, v.uid, q->client->name);
	} else if (which(q, ref.spec->steps[step], q->bound[3], &k) == 0) {
		CHECK(engine_task(node_engine(q->api->node), v.id, step, index, &t));
		if (lease || t.state != TASK_LEASED || !answer_live(q, v.id, step, index, k))
			answer_stored(q, v.id, step, index, k, lease);
	}
	spec_release(&ref);
}
