/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main - `osier engine`: one engine process, started by osier-keeper (socket on fd 3), or to look at a journal.
 *
 *	osier engine --state DIR [--ready-fd N] [--record URL [--standby]]
 *	osier engine --state DIR --look --socket PATH --ready-fd N
 *
 * Writes "ready", or "error MESSAGE" and "hint HINT", to the ready fd (docs/ARCHITECTURE.md, "Processes and files").
 */
#ifndef OSIER_ENGINE_MAIN_H
#define OSIER_ENGINE_MAIN_H

/* argv[0] is "engine". Returns the exit code: 0 stopped (the keeper goes too), 1 failed (it is started again),
 * 79 another engine has its record (the keeper goes too),
 * 2 wrong arguments, 78 it cannot run here: starting it again will not help. */
int engine_main(int argc, char **argv);

#endif
