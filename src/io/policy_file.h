/* SPDX-License-Identifier: Apache-2.0 */
/* policy_file - policies (core/policy.h) in files that the node's configuration names. Blocking; any thread. */
#ifndef OSIER_IO_POLICY_FILE_H
#define OSIER_IO_POLICY_FILE_H

#include "core/policy.h"

/* Read it; a name without '/' in front is one below `dir`. malloc'd; NULL: *e begins with the file's name. */
struct policy *policy_file_read(const char *dir, const char *name, struct err *e);

#endif
