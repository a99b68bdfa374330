/* SPDX-License-Identifier: Apache-2.0 */
/* io - holds the place until the first module is here. */
#include "io/journal.h"
#include "wire/keeper_msg.h"
#include "wire/worker_msg.h"
