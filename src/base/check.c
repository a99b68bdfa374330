/* SPDX-License-Identifier: Apache-2.0 */
/* check - see check.h. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *cond, const char *file, int line)
{
	(void)fprintf(stderr, "osier: bug: CHECK(%s) failed at %s:%d\n", cond, file, line);
	abort();
}
