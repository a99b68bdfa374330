/* SPDX-License-Identifier: Apache-2.0 */
/*
 * banned - functions that osier does not use, because each has a safer neighbour. Included before every file.
 * strcpy, strcat, sprintf, vsprintf, gets: no bound (snprintf). strncpy, strncat: may not end in NUL (memcpy, snprintf).
 * strtok: hidden state (strtok_r). popen: a shell nobody asked for.
 */
#ifndef OSIER_BASE_BANNED_H
#define OSIER_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok gets popen

#endif
