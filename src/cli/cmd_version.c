/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_version - `osier version`: of this program, and of the node when one is up. */
#include "cli/commands.h"

static int run(struct cli *c)
{
	struct err e = {0};
	json_t *node = cli_connect(c, &e) == 0 ? ask_get(c, &e, "/v1/version") : NULL;

	if (c->json) {
		json_t *out = json_pack("{s:s,s:O?}", "version", OSIER_VERSION, "node", node);

		json_print(out);
		json_decref(out);
	} else {
		(void)puts("osier " OSIER_VERSION);
		if (node)
			(void)printf("node '%s' runs %s (engine %llu, on %s)\n", j_str(node, "node"),
			        j_str(node, "version"), (unsigned long long)j_uint(node, "epoch"),
			        j_str(node, "state_dir"));
	}
	json_decref(node);
	return EXIT_OK;
}

const struct command_def cmd_version = {
        .name = "version",
        .group = GROUP_MORE,
        .usage = "",
        .summary = "say which osier this is",
        .about = "Prints the version of this program and, when a node is up, the node's.",
        .examples = "osier version",
        .args_max = 0,
        .run = run,
};
