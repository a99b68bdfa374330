/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main - picks the subcommand.
 *
 * `osier engine` is the engine process, started by osier-keeper, `osier messenger` what it starts to talk to others, `osier carrier` what it starts to talk to hubs; everything else is the command line, which talks to it.
 */
#include <string.h>

#include "carrier/carrier.h"
#include "cli/cli.h"
#include "engine/main.h"
#include "messenger/messenger.h"

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "engine") == 0)
		return engine_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "messenger") == 0)
		return messenger_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "carrier") == 0)
		return carrier_main(argc - 1, argv + 1);
	return cli_main(argc, argv);
}
