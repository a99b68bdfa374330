/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main - picks the subcommand.
 *
 * `osier engine` is the engine process, started by osier-keeper; everything else is the command line, which talks to it.
 */
#include "cli/cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
