/* SPDX-License-Identifier: Apache-2.0 */
/* receipt_wait - see receipt_wait.h. */
#include "cli/receipt_wait.h"

#include <poll.h>
#include <stdlib.h>

#include "core/tlogproof.h"
#include "engine/config.h"

#define CONFIG_BYTES (8u << 20)
#define LOOK_MS      500

/* How often the node anchors on chains, at best; 0: never. */
static int pace(struct cli *c, uint64_t *out_ns, struct err *e)
{
	void *mem;
	char path[4200];
	struct config config;
	struct arena a;
	int rc;

	*out_ns = 0;
	if (cli_must_be_here(c, e) < 0)
		return -1;
	mem = cli_alloc(CONFIG_BYTES);
	arena_init(&a, mem, CONFIG_BYTES);
	(void)snprintf(path, sizeof(path), "%s/config.yaml", c->state_dir);
	rc = config_load(&a, path, true, &config, e);
	for (size_t i = 0; rc == 0 && i < config.n_anchors; i++) {
		const struct config_anchor *at = &config.anchors[i];

		if (at->kind == CONFIG_CHAIN && (*out_ns == 0 || at->every_ns < *out_ns))
			*out_ns = at->every_ns;
	}
	free(mem);
	return rc;
}

/* Is there a final anchor of a head that holds the entry? < 0: cannot be asked. */
static int anchored(struct cli *c, uint64_t entry, struct err *e)
{
	json_t *j = ask_get(c, e, "/v1/ledger/anchors?kind=chain&limit=100"), *a;
	int found = 0;
	size_t i;

	if (!j)
		return -1;
	json_array_foreach(json_object_get(j, "anchors"), i,
	        a) if (strcmp(j_str(a, "state"), "final") == 0 && j_uint(a, "size") > entry) found = 1;
	json_decref(j);
	return found;
}

static void announce(uint64_t entry, uint64_t every_ns)
{
	char text[32];

	term_note("waiting until a head with entry %llu is on a chain for good; the node anchors every %s",
	        (unsigned long long)entry, duration_text(every_ns, text, sizeof(text)));
	term_hint("'osier ledger anchor' in another terminal does it now");
}

/* Until look() finds the entry. ERR_TIMEOUT: it does not in time. */
static int wait_for(struct cli *c, uint64_t entry, const char *level,
        int (*look)(struct cli *c, uint64_t entry, struct err *e), uint64_t limit_ns, struct err *e)
{
	uint64_t end = cli_mono_ns() + limit_ns;
	char text[32];
	int found = 0;

	term_catch_interrupts();
	while (found == 0) {
		struct pollfd p = {.fd = term_interrupt_fd(), .events = POLLIN};

		if (poll(&p, 1, LOOK_MS) > 0)
			return err_set(e, ERR_TIMEOUT, "interrupted before the receipt was %s", level);
		if (cli_mono_ns() >= end)
			return err_set(e, ERR_TIMEOUT, "the receipt was not %s within %s", level,
			        duration_text(limit_ns, text, sizeof(text)));
		found = look(c, entry, e);
	}
	return found < 0 ? -1 : 0;
}

int receipt_wait_anchored(struct cli *c, const char *bytes, size_t n, uint64_t limit_ns, struct err *e)
{
	uint64_t every_ns = 0;
	struct tlogproof proof;
	int found;

	if (tlogproof_parse(bytes, n, &proof, e) < 0 || pace(c, &every_ns, e) < 0)
		return -1;
	found = anchored(c, proof.index, e);
	if (found != 0)
		return found < 0 ? -1 : 0;
	if (!every_ns) {
		(void)err_set(e, ERR_NOTFOUND, "this node anchors nothing on a chain");
		return err_hint(e, "ledger: {anchors: ...} in config.yaml; docs/ledger.md tells how");
	}
	announce(proof.index, every_ns);
	if (wait_for(c, proof.index, "anchored", anchored, limit_ns, e) == 0)
		return 0;
	return e->code == ERR_TIMEOUT ? err_hint(e, "'osier ledger anchor list' shows how it stands; "
	                                            "--timeout waits longer")
	                              : -1;
}

/* ---- witnesses ---- */

/* Is there a head that holds the entry and that enough witnesses cosigned? */
static int witnessed(struct cli *c, uint64_t entry, struct err *e)
{
	json_t *j = ask_get(c, e, "/v1/ledger");
	int found;

	if (!j)
		return -1;
	found = !j_null(j, "witnessed") && j_uint(j, "witnessed") > entry;
	json_decref(j);
	return found;
}

/* Who has not cosigned it, and why: the first one that tells. */
static void whom_it_lacks(struct cli *c, uint64_t entry, struct err *e)
{
	struct err ignored = {0};
	json_t *j = ask_get(c, &ignored, "/v1/ledger/witnesses"), *w;
	const char *name = NULL, *why = NULL;
	unsigned all = 0, have = 0;
	size_t i;

	json_array_foreach(json_object_get(j, "witnesses"), i, w)
	{
		bool cosigned = j_uint(w, "size") > entry;

		all++;
		have += cosigned;
		if (!cosigned && !why && !j_null(w, "error")) {
			name = j_str(w, "name");
			why = j_str(w, "error");
		}
	}
	if (why)
		(void)err_set(e, ERR_TIMEOUT,
		        "the receipt was not witnessed in time: %u of %u cosigned it; '%.40s': %.90s", have,
		        all, name, why);
	json_decref(j);
}

int receipt_wait_witnessed(struct cli *c, const char *bytes, size_t n, uint64_t limit_ns, struct err *e)
{
	struct tlogproof proof;
	json_t *j;

	if (tlogproof_parse(bytes, n, &proof, e) < 0)
		return -1;
	j = ask_get(c, e, "/v1/ledger/witnesses");
	json_decref(j);
	if (!j || wait_for(c, proof.index, "witnessed", witnessed, limit_ns, e) == 0)
		return j ? 0 : -1;
	if (e->code != ERR_TIMEOUT || term_interrupts())
		return -1;
	whom_it_lacks(c, proof.index, e);
	return err_hint(e, "'osier ledger witness' shows how they stand; --timeout waits longer");
}
