/* SPDX-License-Identifier: Apache-2.0 */
/* dir_help - paths in the folder of a test, which it makes itself. Included once per program. */
#ifndef OSIER_TEST_DIR_HELP_H
#define OSIER_TEST_DIR_HELP_H

#include <stdio.h>

static char dir[64];

/* The path of this name in `dir`; good until eight more have been asked for. */
static const char *in(const char *name)
{
	static char path[8][200];
	static unsigned at;

	at = (at + 1) % 8;
	(void)snprintf(path[at], sizeof(path[at]), "%s/%s", dir, name);
	return path[at];
}

#endif
