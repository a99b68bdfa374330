/* SPDX-License-Identifier: Apache-2.0 */
/* core - holds the place until the first module is here. */
#include "core/command.h"
#include "core/engine.h"
#include "core/jobspec.h"
#include "core/params.h"
#include "core/sched.h"
