/* SPDX-License-Identifier: Apache-2.0 */
/* recover - the state from the journal: the newest snapshot, then every entry after it; see node_int.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/check.h"
#include "engine/node_int.h"
#include "wire/entry.h"

#define DECODE_BYTES (1u << 20)

struct recovery {
	struct node *n;
	struct arena a;
	void *mem;
	size_t mem_bytes;
	uint64_t last_ns;
	uint64_t bytes;
	bool apply;
};

static int fold(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e)
{
	struct recovery *f = ctx;
	const Wire__Entry *en;

	for (;;) {
		arena_clear(&f->a);
		if (entry_decode(&f->a, bytes, n, &en, e) == 0)
			break;
		if (e->code != ERR_FULL || f->mem_bytes > (1u << 30)) {
			(void)err_wrap(e, "entry %llu of the journal in '%s' cannot be read",
			        (unsigned long long)seq, f->n->state_dir);
			return err_hint(
			        e, "use the osier that wrote it, or restore the folder from a backup");
		}
		free(f->mem);
		f->mem_bytes *= 4;
		f->mem = aligned_alloc(16, f->mem_bytes);
		CHECK(f->mem);
		arena_init(&f->a, f->mem, f->mem_bytes);
	}
	f->last_ns = en->time_ns > f->last_ns ? en->time_ns : f->last_ns;
	f->bytes += n;
	if (f->apply)
		engine_apply(f->n->engine, en, NULL);
	return 0;
}

static int map_core(struct node *n, struct err *e)
{
	struct engine_limits limits = engine_limits_default(n->config.memory_bytes);

	if (n->config.jobs_max)
		limits.jobs_max = n->config.jobs_max;
	if (n->config.leases_max)
		limits.leases_max = n->config.leases_max;
	n->region_bytes = limits.memory_bytes;
	n->region = mmap(NULL, n->region_bytes, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (n->region == MAP_FAILED) {
		n->region = NULL;
		return err_sys(e, "cannot map %zu bytes of address space for the core", n->region_bytes);
	}
	n->engine = engine_new(n->region, &limits);
	if (!n->engine) {
		(void)err_set(e, ERR_INVALID, "the limits do not fit into %zu bytes", n->region_bytes);
		return err_hint(e, "raise limits.memory in config.yaml, or lower jobs and leases");
	}
	return 0;
}

static int load_snapshot(struct node *n, uint64_t *out_from, struct err *e)
{
	uint8_t *bytes = NULL;
	size_t size = 0;
	int rc = 0;

	if (journal_snapshot_load(n->journal, UINT64_MAX, &bytes, &size, out_from, e) < 0)
		return -1;
	if (bytes)
		rc = engine_load(n->engine, bytes, size, e);
	free(bytes);
	if (rc == 0)
		return 0;
	(void)err_wrap(e, "'%s/snapshot-%llu' cannot be read", n->state_dir, (unsigned long long)*out_from);
	return e->code == ERR_VERSION ? -1
	                              : err_hint(e, "move it away: the state is folded from the entries");
}

struct recovery *recovery_new(struct node *n)
{
	struct recovery *f = calloc(1, sizeof(*f));

	CHECK(f);
	f->n = n;
	f->mem_bytes = DECODE_BYTES;
	f->apply = true;
	f->mem = aligned_alloc(16, f->mem_bytes);
	CHECK(f->mem);
	arena_init(&f->a, f->mem, f->mem_bytes);
	return f;
}

int recovery_entry(struct recovery *r, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e)
{
	return fold(r, seq, bytes, n, e);
}

void recovery_free(struct recovery *r)
{
	if (!r)
		return;
	if (r->last_ns > r->n->clock.now_ns)
		clock_init(&r->n->clock, r->last_ns);
	free(r->mem);
	free(r);
}

int recover_fold(struct node *n, struct err *e)
{
	struct recovery *f;
	struct journal_head head;
	uint64_t from = 0;
	int rc;

	if (map_core(n, e) < 0 || load_snapshot(n, &from, e) < 0)
		return -1;
	journal_head(n->journal, &head);
	n->size = head.size;
	f = recovery_new(n);
	rc = journal_replay(n->journal, from, UINT64_MAX, fold, f, e);
	/* With no tail the newest time is the last entry's. */
	f->apply = false;
	if (rc == 0 && from == head.size && from > 0)
		rc = journal_replay(n->journal, from - 1, UINT64_MAX, fold, f, e);
	clock_init(&n->clock, f->last_ns);
	if (rc == 0 && (!n->read_only || journal_is_standby(n->journal))) {
		snapshots_init(n, from);
		snapshots_note(n, f->bytes);
	}
	recovery_free(f);
	return rc < 0 ? -1 : 0;
}

int recover_boot(struct node *n, struct err *e)
{
	Wire__Boot boot = WIRE__BOOT__INIT;
	struct command cmd = {.kind = CMD_BOOT, .u.boot = &boot};
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return err_sys(e, "cannot get a random number");
	boot.version = (char *)(uintptr_t)OSIER_VERSION;
	boot.seed = seed;
	round_command(n, &cmd, NULL, 0, NULL);
	return machine_announce(n, e);
}
