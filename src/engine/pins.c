/* SPDX-License-Identifier: Apache-2.0 */
/* pins - see pins.h. */
#include "engine/pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "core/sources.h"
#include "engine/results.h"
#include "io/disk.h"
#include "io/journal.h"
#include "io/sha256.h"
#include "wire/entry.h"

struct numbers {
	uint64_t *v; /* ascending */
	size_t n, max;
};

struct pins {
	char *state_dir;
	uint64_t from, to;
	struct numbers jobs;   /* kept */
	struct numbers leases; /* of kept jobs */
	uint8_t (*digest)[32];
	size_t n, max;
};

static void push(struct numbers *l, uint64_t v)
{
	CHECK(l->n == 0 || l->v[l->n - 1] < v);
	if (l->n == l->max) {
		l->max = l->max ? l->max * 2 : 256;
		l->v = reallocarray(l->v, l->max, sizeof(*l->v));
		CHECK(l->v);
	}
	l->v[l->n++] = v;
}

static bool has(const struct numbers *l, uint64_t v)
{
	size_t a = 0, b = l->n;

	while (a < b) {
		size_t m = a + (b - a) / 2;

		if (l->v[m] < v)
			a = m + 1;
		else
			b = m;
	}
	return a < l->n && l->v[a] == v;
}

static void pin(struct pins *p, const uint8_t *digest)
{
	if (p->n == p->max) {
		p->max = p->max ? p->max * 2 : 256;
		p->digest = reallocarray(p->digest, p->max, sizeof(*p->digest));
		CHECK(p->digest);
	}
	memcpy(p->digest[p->n++], digest, 32);
}

/* ---- what was made for leases ---- */

#define PACKS_NAME (24 + SHA256_HEX)

static void packs_dir(const char *state_dir, char out[4096])
{
	(void)snprintf(out, 4096, "%.4000s/packs", state_dir);
}

int pins_keep(const char *state_dir, lease_id lease, const uint8_t (*digest)[32], size_t n, struct err *e)
{
	char dir[4096], hex[SHA256_HEX + 1], name[PACKS_NAME];
	int fd, at;

	packs_dir(state_dir, dir);
	if (mkdir(dir, 0700) == 0)
		(void)disk_sync_folder(state_dir, NULL);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "cannot open the folder '%.180s'", dir);
	for (size_t i = 0; i < n; i++) {
		sha256_hex(digest[i], hex);
		(void)snprintf(name, sizeof(name), "%llu.%s", (unsigned long long)lease.v, hex);
		at = openat(fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (at < 0) {
			(void)err_sys(e, "cannot make the file '%.120s/%.80s'", dir, name);
			(void)close(fd);
			return -1;
		}
		(void)close(at);
	}
	(void)close(fd);
	return disk_sync_folder(dir, e);
}

/* Of leases that are over it goes. */
static void pin_made(struct pins *p, const struct engine *e)
{
	struct lease_view lease;
	struct dirent *entry;
	uint8_t digest[32];
	char dir[4096], *dot;
	DIR *d;

	packs_dir(p->state_dir, dir);
	d = opendir(dir);
	while (d && (entry = readdir(d))) {
		uint64_t number = strtoull(entry->d_name, &dot, 10);

		if (*dot != '.' || number == 0 || sha256_unhex(dot + 1, digest) < 0)
			continue;
		if (engine_lease(e, (lease_id){number}, &lease))
			pin(p, digest);
		else
			(void)unlinkat(dirfd(d), entry->d_name, 0);
	}
	if (d)
		(void)closedir(d);
}

struct pins *pins_new(const struct engine *e, const char *state_dir, uint64_t from, uint64_t to)
{
	struct pins *p = calloc(1, sizeof(*p));
	struct job_view job;
	job_id at = {0};

	CHECK(p);
	p->state_dir = strdup(state_dir);
	CHECK(p->state_dir);
	p->from = from;
	p->to = to;
	while (engine_job_next(e, at, &job)) {
		at = job.id;
		push(&p->jobs, at.v);
	}
	pin_made(p, e);
	return p;
}

void pins_free(struct pins *p)
{
	if (!p)
		return;
	free(p->state_dir);
	free(p->jobs.v);
	free(p->leases.v);
	free(p->digest);
	free(p);
}

static void pin_bytes(struct pins *p, const ProtobufCBinaryData *b)
{
	if (b->len == 32)
		pin(p, b->data);
}

static void pin_source(void *ctx, const uint8_t digest[32], uint64_t bytes)
{
	(void)bytes;
	pin(ctx, digest);
}

static void pin_spec(struct pins *p, const Wire__JobSpec *spec)
{
	for (size_t i = 0; i < spec->n_steps; i++) {
		const Wire__Step *s = spec->steps[i];

		for (size_t k = 0; k < s->n_inputs; k++)
			pin_bytes(p, &s->inputs[k]->blob);
		for (size_t k = 0; k < s->n_params; k++)
			pin_bytes(p, &s->params[k]->blob);
		if (s->stdin_file)
			pin_bytes(p, &s->stdin_file->blob);
		if (s->sources)
			sources_blobs(s->sources, pin_source, p);
	}
}

static void pin_results(struct pins *p, const Wire__Results *r)
{
	size_t hashed = 0;

	for (size_t i = 0; i < r->n_output_bytes; i++) {
		if (r->output_bytes[i] == 0)
			continue;
		if (r->output_bytes[i] > OUTPUT_SMALL_MAX && 32 * (hashed + 1) <= r->output_sha256.len)
			pin(p, r->output_sha256.data + 32 * hashed);
		hashed++;
	}
}

/* Of what was committed to, and not yet revealed. */
static void pin_held(struct pins *p, struct journal_reader *reader, uint64_t seq)
{
	const uint8_t *bytes, *small;
	const Wire__Results *r;
	size_t n, small_bytes;
	struct arena a;
	void *mem;

	if (journal_read_outputs(reader, seq, &bytes, &n, NULL) < 0 || n == 0)
		return;
	mem = aligned_alloc(16, (65536 + 16 * n + 15) & ~(size_t)15);
	CHECK(mem);
	arena_init(&a, mem, 65536 + 16 * n);
	if (held_decode(&a, bytes, n, &r, &small, &small_bytes, NULL) == 0)
		pin_results(p, r);
	free(mem);
}

static void look(struct pins *p, struct journal_reader *reader, uint64_t seq, const Wire__Entry *en)
{
	if (en->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED && has(&p->jobs, en->job_submitted->job))
		pin_spec(p, en->job_submitted->spec);
	else if (en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED && has(&p->jobs, en->lease_granted->job))
		push(&p->leases, en->lease_granted->lease);
	else if (en->body_case == WIRE__ENTRY__BODY_RESULTS && en->results->commitments.len &&
	         has(&p->leases, en->results->lease))
		pin_held(p, reader, seq);
	else if (en->body_case == WIRE__ENTRY__BODY_RESULTS && has(&p->leases, en->results->lease))
		pin_results(p, en->results);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

int pins_scan(struct pins *p, struct err *e)
{
	struct journal_reader *reader = NULL;
	size_t mem_bytes = 1u << 20;
	void *mem = aligned_alloc(16, mem_bytes);
	uint64_t seq = p->from;
	int rc = journal_reader_open(p->state_dir, &reader, e);

	CHECK(mem);
	while (rc == 0 && seq < p->to) {
		const Wire__Entry *en;
		const uint8_t *bytes;
		struct arena a;
		size_t n;

		arena_init(&a, mem, mem_bytes);
		rc = journal_read_entry(reader, seq, &bytes, &n, NULL, e);
		if (rc == 0)
			rc = entry_decode(&a, bytes, n, &en, e);
		if (rc == 0) {
			look(p, reader, seq, en);
			seq++;
		} else if (e->code == ERR_FULL && mem_bytes < (1u << 30)) {
			free(mem);
			mem_bytes *= 4;
			mem = aligned_alloc(16, mem_bytes);
			CHECK(mem);
			rc = 0;
		}
	}
	free(mem);
	journal_reader_close(reader);
	if (p->n)
		qsort(p->digest, p->n, sizeof(*p->digest), compare);
	return rc;
}

bool pins_has(void *ctx, const uint8_t digest[32])
{
	const struct pins *p = ctx;

	return p->n && bsearch(digest, p->digest, p->n, sizeof(*p->digest), compare) != NULL;
}
