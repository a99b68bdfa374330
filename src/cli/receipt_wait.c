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
	void *mem = cli_alloc(CONFIG_BYTES);
	char path[4200];
	struct config config;
	struct arena a;
	int rc;

	*out_ns = 0;
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

int receipt_wait_anchored(struct cli *c, const char *bytes, size_t n, uint64_t limit_ns, struct err *e)
{
	uint64_t every_ns = 0, end = cli_mono_ns() + limit_ns;
	struct tlogproof proof;
	char text[32];
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
	term_catch_interrupts();
	while (found == 0) {
		struct pollfd p = {.fd = term_interrupt_fd(), .events = POLLIN};

		if (poll(&p, 1, LOOK_MS) > 0)
			return err_set(e, ERR_TIMEOUT, "interrupted before the receipt was anchored");
		if (cli_mono_ns() >= end) {
			(void)err_set(e, ERR_TIMEOUT, "the receipt was not anchored within %s",
			        duration_text(limit_ns, text, sizeof(text)));
			return err_hint(
			        e, "'osier ledger anchor list' shows how it stands; --timeout waits longer");
		}
		found = anchored(c, proof.index, e);
	}
	return found < 0 ? -1 : 0;
}
